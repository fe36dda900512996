//! Spans of the feature `tracing`: their names and their nesting.
//!
//! A collector is global to the process, in which other tests execute blocks at the same time. This
//! one therefore keeps spans below the test's own span, and spans of the writer's thread that name
//! the test's blocks.

use crate::{
    streams::{block, config},
    support::Stream,
};
use braid_chain::{Chain, MemoryStore, StateRoots, create};
use braid_evm::{Forced, Policy};
use std::{
    collections::BTreeSet,
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};
use tracing::{Subscriber, field::Field, span};
use tracing_subscriber::{Layer, Registry, layer::Context, prelude::*, registry::LookupSpan};

/// Paths of spans, from the outermost span on.
type Paths = Arc<Mutex<Vec<Vec<Opened>>>>;

#[derive(Clone, Debug)]
struct Opened {
    name: &'static str,
    fields: String,
}

struct Collector(Paths);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").expect("memory");
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Collector {
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        let span = context.span(id).expect("it is new");
        let opened = Opened { name: span.name(), fields: fields.0 };
        let mut path = span.parent().map_or_else(Vec::new, |parent| {
            let extensions = parent.extensions();
            extensions.get::<Vec<Opened>>().expect("each span has its path").clone()
        });
        path.push(opened);
        span.extensions_mut().insert(path.clone());
        self.0.lock().expect("no panic").push(path);
    }
}

/// Executes a stream of blocks in a span, and returns the paths below it, and those of the writer.
fn paths(stream: &Stream, policy: Policy, paths: &Paths) -> [Vec<Vec<Opened>>; 2] {
    let store = MemoryStore::new();
    let genesis = stream.states[0].batch(stream.head);
    create(&store, b"{}", &genesis, StateRoots::Disabled).expect("created");
    let mut config = config(2);
    config.executor.policy = policy;
    let name = format!("test=\"{policy:?}\" ");
    {
        let _span = tracing::info_span!("test", test = format!("{policy:?}")).entered();
        let mut chain = Chain::open(store, config).expect("a chain");
        for one in &stream.blocks {
            chain.execute(block(one)).expect("a valid block");
        }
    }
    let all = paths.lock().expect("no panic").clone();
    let is_own = |path: &&Vec<Opened>| path[0].name == "test" && path[0].fields == name;
    let own = all.iter().filter(is_own).map(|path| path[1..].to_vec()).collect();
    let is_write = |path: &&Vec<Opened>| path[0].name == "write_back";
    [own, all.iter().filter(is_write).cloned().collect()]
}

fn names(path: &[Opened]) -> String {
    path.iter().map(|opened| opened.name).collect::<Vec<_>>().join("/")
}

#[test]
fn each_span_lies_where_it_belongs() {
    const BLOCKS: u64 = 3;
    let collected = Paths::default();
    let subscriber = Registry::default().with(Collector(Arc::clone(&collected)));
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    let stream = Stream::new(5, BLOCKS);
    let counts: Vec<usize> =
        stream.blocks.iter().map(|(block, _)| block.transactions.len()).collect();
    let forced = [Forced::Speculative, Forced::ContiguousBatches].map(Policy::Forced);
    for policy in forced.into_iter().chain([Policy::Sequential]) {
        let [own, written] = paths(&stream, policy, &collected);
        let found: BTreeSet<String> =
            own.iter().filter(|it| !it.is_empty()).map(|it| names(it)).collect();
        for path in ["block", "block/segment", "block/segment/batch", "block/segment/batch/run"] {
            assert!(found.contains(path), "{policy:?}: no {path} in {found:?}");
        }
        // A commit is not nested in a run, whichever thread it happens on.
        let commits = |it: &&String| it.split('/').any(|name| name == "commit");
        let commits: Vec<_> = found.iter().filter(commits).collect();
        assert_eq!(commits, ["block/segment/commit"], "{policy:?}");
        for (index, count) in counts.iter().enumerate() {
            let number = stream.head.number + 1 + index as u64;
            let fields = format!("number={number} transactions={count} ");
            let blocks = own.iter().filter(|path| path.len() == 1 && path[0].fields == fields);
            assert_eq!(blocks.count(), 1, "{policy:?}: {fields}");
            // Each transaction has run at least once in it.
            let runs = own.iter().filter(|path| {
                path.first().is_some_and(|it| it.fields == fields)
                    && path.last().is_some_and(|it| it.name == "run")
            });
            let ran: BTreeSet<&str> =
                runs.map(|path| path.last().expect("a run").fields.as_str()).collect();
            assert_eq!(ran.len(), *count, "{policy:?}: {ran:?}");
            let write = format!("number={number} ");
            assert!(written.iter().any(|path| path.len() == 1 && path[0].fields == write));
        }
    }
}
