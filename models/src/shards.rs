//! Two shards that execute an agreed order over the core of `braid-shards`, as actors. The model
//! explores every order in which messages arrive, are lost or are repeated, timers fire, and a
//! shard stops and restarts from its durable state.
//!
//! It does not model more shards, longer orders, or an order that arrives in pieces; the simulation
//! of `braid-shards` covers these.

use crate::explore::{Exploration, explore_model};
use braid_evm::ids::TxIndex;
use braid_shards::mutants::{Bug, active, with_bug};
use braid_shards::toy::{Action, Toy, ToyTx};
use braid_shards::{
    Agreed, Durable, Event, EventOf, Message, MessageOf, Reference, Shard, ShardId, Values,
    reference,
};
use stateright::Expectation::{Always, Sometimes};
use stateright::actor::{
    Actor, ActorModel, ActorModelState, Id, LossyNetwork, Network, Out, model_timeout,
};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Number of shards.
const SHARDS: u16 = 2;
/// Number of transactions in an order.
const TRANSACTIONS: usize = 3;
/// Window sizes, in transactions.
const WINDOWS: [u32; 2] = [1, 2];
/// Rounds of timers within which an order must be finished without further faults.
const ROUNDS: usize = 12;

/// An agreed order over two shards, with the results of a single process.
#[derive(Debug)]
pub struct ShardOrder {
    agreed: Agreed<Toy>,
    base: Values<Toy>,
    reference: Reference<Toy>,
}

/// A shard that executes an order.
#[derive(Clone, Debug)]
pub struct ShardActor {
    order: Arc<ShardOrder>,
    bug: Option<Bug>,
}

/// Returns the kinds of transactions. Key 0 belongs to shard 0 and key 1 to shard 1.
fn kinds() -> Vec<ToyTx> {
    let tx = |reads: &[u16], actions: &[(u16, Action)]| ToyTx {
        reads: reads.to_vec(),
        actions: actions.to_vec(),
    };
    vec![
        tx(&[0], &[(1, Action::Mix)]),
        tx(&[1], &[(0, Action::Mix)]),
        tx(&[0, 1], &[(0, Action::Mix), (1, Action::Mix)]),
        tx(&[0, 1], &[(0, Action::MixIfOdd), (1, Action::Add(3))]),
        tx(&[0], &[(0, Action::Mix)]),
        tx(&[1], &[(1, Action::Add(5))]),
        tx(&[], &[(0, Action::Set(4)), (1, Action::Add(2))]),
    ]
}

/// Returns every order of three transactions of seven kinds, with a window of one and of two.
#[must_use]
pub fn shard_orders() -> Vec<Arc<ShardOrder>> {
    let kinds = kinds();
    let count = kinds.len().pow(u32::try_from(TRANSACTIONS).unwrap_or(0));
    let order = |number: usize, window: u32| {
        let powers = (0..TRANSACTIONS).scan(number, |rest, _| {
            let kind = *rest % kinds.len();
            *rest /= kinds.len();
            Some(kinds[kind].clone().declared())
        });
        let (entries, base) = (powers.collect::<Vec<_>>(), Values::<Toy>::from([(0, 1), (1, 2)]));
        let reference = reference(&entries, &base);
        let agreed = Agreed::new(entries, SHARDS, window, |key| ShardId(*key));
        Arc::new(ShardOrder { agreed, base, reference })
    };
    WINDOWS
        .iter()
        .flat_map(|window| (0..count).map(move |it| (it, *window)))
        .map(|(it, window)| order(it, window))
        .collect()
}

fn shard_of(id: Id) -> ShardId {
    ShardId(u16::try_from(usize::from(id)).unwrap_or(u16::MAX))
}

impl ShardActor {
    fn start(&self, id: ShardId, durable: Option<&Durable<Toy>>) -> Shard<Toy> {
        let ShardOrder { agreed, base, .. } = &*self.order;
        let durable = durable.cloned().unwrap_or_else(|| Durable::new(agreed, id, base));
        // A checker has its own threads, which need the bug, too.
        with_bug(self.bug, || Shard::new(agreed, id, durable))
    }

    /// Saves the durable state before any message leaves.
    fn handle(&self, shard: &mut Shard<Toy>, event: EventOf<Toy>, out: &mut Out<Self>) {
        let messages = with_bug(self.bug, || shard.handle(&self.order.agreed, event));
        out.save(shard.durable().clone());
        for (to, message) in messages {
            out.send(Id::from(to.position()), message);
        }
    }

    fn react(&self, state: &mut Cow<'_, Shard<Toy>>, event: EventOf<Toy>, out: &mut Out<Self>) {
        let mut shard = state.as_ref().clone();
        let mut reaction = Out::new();
        self.handle(&mut shard, event, &mut reaction);
        // An event that changes nothing and sends nothing is not a step.
        let sends = reaction.iter().any(|it| matches!(it, stateright::actor::Command::Send(..)));
        if shard != **state || sends {
            *state.to_mut() = shard;
            out.append(&mut reaction);
        }
    }
}

impl Actor for ShardActor {
    type Msg = MessageOf<Toy>;
    type State = Shard<Toy>;
    type Timer = ();
    type Random = ();
    type Storage = Durable<Toy>;

    fn on_start(&self, id: Id, storage: &Option<Durable<Toy>>, out: &mut Out<Self>) -> Shard<Toy> {
        let mut shard = self.start(shard_of(id), storage.as_ref());
        self.handle(&mut shard, Event::Arrived(self.order.agreed.end()), out);
        out.set_timer((), model_timeout());
        shard
    }

    fn on_msg(
        &self,
        _: Id,
        state: &mut Cow<'_, Shard<Toy>>,
        from: Id,
        message: MessageOf<Toy>,
        out: &mut Out<Self>,
    ) {
        self.react(state, Event::Received(shard_of(from), message), out);
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<'_, Shard<Toy>>, (): &(), out: &mut Out<Self>) {
        self.react(state, Event::Timer, out);
        out.set_timer((), model_timeout());
    }
}

/// The model of an order.
pub type ShardModel = ActorModel<ShardActor, Arc<ShardOrder>>;
type State = ActorModelState<ShardActor>;

/// Returns the model of two shards that execute `order`. Messages may overtake each other and
/// arrive any number of times or never, so a lost message needs no step of its own. One shard at a
/// time may be down, any number of times. The shards have the seeded bug of this thread.
#[must_use]
pub fn shard_model(order: &Arc<ShardOrder>) -> ShardModel {
    let actor = |_| ShardActor { order: Arc::clone(order), bug: active() };
    ActorModel::new(Arc::clone(order), ())
        .actors((0..SHARDS).map(actor))
        .init_network(Network::new_unordered_duplicating([]))
        .lossy_network(LossyNetwork::No)
        .max_crashes(1)
        .property(
            Always,
            "a transaction comes to the same at every shard and in one process",
            outcomes_agree,
        )
        .property(Always, "what is acknowledged is durable", durable)
        .property(Always, "logs and messages on their way keep within the window", bounded)
        .property(
            Always,
            "whatever happened, all of the order is finished if nothing more does",
            finishes,
        )
        .property(Sometimes, "all is committed at both shards", finished)
        .property(Sometimes, "a restart loses values that have come", restart_loses_values)
        .property(Sometimes, "transactions commit out of order", overtakes)
        .property(
            Sometimes,
            "values come after their transaction has committed",
            values_arrive_late,
        )
}

/// Returns the durable state of each shard.
fn storages(state: &State) -> impl Iterator<Item = (ShardId, &Durable<Toy>)> {
    (0..).map(ShardId).zip(&state.actor_storages).filter_map(|(id, it)| Some((id, it.as_ref()?)))
}

fn outcomes_agree(model: &ShardModel, state: &State) -> bool {
    let mut outcomes = storages(state).flat_map(|(_, durable)| durable.outcomes());
    outcomes.all(|(tx, outcome)| model.cfg.reference.outcomes[tx.position()] == *outcome)
}

fn durable(model: &ShardModel, state: &State) -> bool {
    let agreed = &model.cfg.agreed;
    storages(state).all(|(id, durable)| {
        let mut senders = state.actor_states.iter().filter(|shard| shard.id() != id);
        senders.all(|shard| shard.settled(agreed, id).all(|tx| durable.is_committed(tx)))
    })
}

fn bounded(model: &ShardModel, state: &State) -> bool {
    let agreed = &model.cfg.agreed;
    state.actor_states.iter().all(|shard| {
        let most = shard.most_pending(agreed).max(shard.durable().log_length());
        most <= agreed.window() as usize
    })
}

/// Returns whether both shards have committed everything, with the state of a single process.
fn is_done(order: &ShardOrder, shards: &[Shard<Toy>]) -> bool {
    let agreed = &order.agreed;
    let is_right = |shard: &Shard<Toy>| {
        let durable = shard.durable();
        let own = durable
            .state(agreed, shard.id())
            .filter(|_| durable.watermark(agreed, shard.id()) == agreed.end());
        own.is_some_and(|own| {
            own.iter().all(|(key, value)| order.reference.state.get(key) == Some(value))
        })
    };
    shards.iter().all(is_right)
}

/// Returns whether the order finishes after all messages in flight are lost, if from then on timers
/// fire and every message arrives once.
fn finishes(model: &ShardModel, state: &State) -> bool {
    with_bug(model.actors[0].bug, || finishes_on_this_thread(model, state))
}

fn finishes_on_this_thread(model: &ShardModel, state: &State) -> bool {
    let order = &model.cfg;
    let mut shards: Vec<Shard<Toy>> = Vec::new();
    let mut mail = VecDeque::new();
    for (position, actor) in model.actors.iter().enumerate() {
        let storage = state.actor_storages[position].as_ref();
        shards.push(match state.crashed[position] {
            true => actor.start(shard_of(Id::from(position)), storage),
            false => Shard::clone(&state.actor_states[position]),
        });
    }
    for _ in 0..ROUNDS {
        for shard in &mut shards {
            let events = [Event::Arrived(order.agreed.end()), Event::Timer];
            let messages = events.map(|event| shard.handle(&order.agreed, event));
            let from = shard.id();
            mail.extend(messages.into_iter().flatten().map(|it| (from, it)));
        }
        while let Some((from, (to, message))) = mail.pop_front() {
            let event = Event::Received(from, message);
            let answers = shards[to.position()].handle(&order.agreed, event);
            mail.extend(answers.into_iter().map(|it| (to, it)));
        }
        if is_done(order, &shards) {
            return true;
        }
    }
    false
}

fn finished(model: &ShardModel, state: &State) -> bool {
    storages(state)
        .all(|(id, durable)| durable.watermark(&model.cfg.agreed, id) == model.cfg.agreed.end())
}

fn restart_loses_values(_: &ShardModel, state: &State) -> bool {
    let mut shards = state.crashed.iter().zip(&state.actor_states);
    shards.any(|(is_down, shard)| *is_down && shard.waiting() > 0)
}

fn overtakes(model: &ShardModel, state: &State) -> bool {
    let end = model.cfg.agreed.end();
    storages(state).any(|(id, durable)| {
        let committed = durable.watermark(&model.cfg.agreed, id);
        (committed.0..end.0).any(|tx| durable.is_committed(TxIndex(tx)))
    })
}

fn values_arrive_late(_: &ShardModel, state: &State) -> bool {
    state.network.iter_deliverable().any(|envelope| match envelope.msg {
        Message::Values { tx, .. } => {
            state.actor_states[usize::from(envelope.dst)].durable().is_committed(*tx)
        }
        Message::Committed { .. } => false,
    })
}

/// Explores `orders` on all cores. Ends soon after a property is found broken.
#[must_use]
pub fn explore_shards(orders: &[Arc<ShardOrder>]) -> Exploration {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Exploration::default()));
    let bug = active();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let explored = explore_model(with_bug(bug, || shard_model(order)), 1);
                    if !explored.broken.is_empty() {
                        next.store(orders.len(), Ordering::Relaxed);
                    }
                    all.lock().expect("no order panics").add(explored);
                }
            });
        }
    });
    all.into_inner().expect("no order panics")
}
