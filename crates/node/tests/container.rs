//! The container file and the manifests of `crates/node/deploy`.
//!
//! 1. The tool accepts the manifest's arguments, answers its probes at the named ports, and
//!    continues after it was stopped. It runs in an image if `BRAID_CONTAINER`, a program with its
//!    options, and `BRAID_CONTAINER_IMAGE` are set: `cargo xtask container --run`.
//! 2. Containers run as a user other than root, with a read-only root file system.
//! 3. JSON-RPC listens on the loopback interface, and `rpc.yaml` opens it to selected pods.

use crate::{
    chain::{braid_node, chain, json},
    metrics::get,
};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};
use std::{
    env,
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Timeout for expected events.
const PATIENCE: Duration = Duration::from_secs(60);
/// Poll interval.
const PAUSE: Duration = Duration::from_millis(50);
/// Address of the pod in this test.
const POD_IP: &str = "127.0.0.1";

fn deploy(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(path).expect("the file is there")
}

/// Returns the objects of a manifest.
fn objects(name: &str) -> Vec<Value> {
    Yaml::load_from_str(&deploy(name)).expect("YAML").iter().map(value).collect()
}

/// Returns a manifest as the JSON that Kubernetes makes of it.
fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Boolean(is_so)) => json!(is_so),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(fields) => {
            let field =
                |(name, it): (&Yaml<'_>, &Yaml<'_>)| (text(&value(name)).to_owned(), value(it));
            Value::Object(fields.iter().map(field).collect())
        }
        other => panic!("a manifest has no {other:?}"),
    }
}

/// Returns the object of this kind.
fn of_kind(name: &str, kind: &str) -> Value {
    let found = objects(name).into_iter().filter(|it| it["kind"] == kind);
    let [object] = found.collect::<Vec<_>>().try_into().expect("one of its kind");
    object
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Returns the only container in a list of a pod.
fn only(pod: &Value, list_name: &str) -> Value {
    let [container] = list(&pod[list_name]) else { panic!("{list_name}: one container") };
    container.clone()
}

fn pod() -> Value {
    of_kind("chain.yaml", "StatefulSet")["spec"]["template"]["spec"].clone()
}

/// A pod of the manifest on this machine, with its volume, its genesis, and free ports.
struct Pod {
    folder: TempDir,
    /// The port in the manifest and the port on this machine, by name.
    ports: Vec<(String, String, u16)>,
}

impl Pod {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [data, genesis] = ["data", "genesis"].map(|it| folder.path().join(it));
        for path in [&data, &genesis] {
            fs::create_dir(path).expect("a folder");
        }
        // The image runs as another user. Kubernetes gives it the volume by `fsGroup`.
        for (path, mode) in [(folder.path(), 0o755), (&data, 0o777), (&genesis, 0o755)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        }
        let files = of_kind("chain.yaml", "ConfigMap")["data"].clone();
        for (name, content) in files.as_object().expect("files") {
            fs::write(genesis.join(name), text(content)).expect("written");
        }
        let free = || TcpListener::bind((POD_IP, 0)).expect("a port");
        let container = only(&pod(), "containers");
        let named = list(&container["ports"]).iter();
        // All ports are reserved at once, so that they differ.
        let named: Vec<_> = named.map(|port| (port, free())).collect();
        let ports = named.iter().map(|(port, free)| {
            let here = free.local_addr().expect("an address").port();
            (text(&port["name"]).to_owned(), port["containerPort"].to_string(), here)
        });
        Self { ports: ports.collect(), folder }
    }

    fn port(&self, name: &Value) -> u16 {
        let found = self.ports.iter().find(|(port, ..)| port == text(name));
        found.unwrap_or_else(|| panic!("no port {name}")).2
    }

    /// Returns the command that starts a container of the manifest.
    fn command(&self, container: &Value) -> Command {
        let arguments: Vec<String> =
            list(&container["args"]).iter().map(|it| self.argument(text(it), container)).collect();
        let Ok(runs) = env::var("BRAID_CONTAINER") else {
            let mounts = list(&container["volumeMounts"]);
            let here = |argument: &String| {
                let mounted = mounts.iter().find_map(|mount| {
                    let below = argument.strip_prefix(text(&mount["mountPath"]))?;
                    Some(self.path(text(&mount["name"])) + below)
                });
                mounted.unwrap_or_else(|| argument.clone())
            };
            let arguments = arguments.iter().map(here);
            let mut command = braid_node(&[]);
            command.args(arguments);
            return command;
        };
        let mut words = runs.split_whitespace();
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).arg("--name").arg(name());
        for mount in list(&container["volumeMounts"]) {
            let (name, path) = (text(&mount["name"]), text(&mount["mountPath"]));
            let mode = if mount["readOnly"] == true { ":ro" } else { "" };
            command.arg("--volume").arg(format!("{}:{path}{mode}", self.path(name)));
        }
        command.arg(env::var("BRAID_CONTAINER_IMAGE").expect("the image")).args(arguments);
        command
    }

    fn path(&self, volume: &str) -> String {
        self.folder.path().join(volume).to_str().expect("UTF-8").to_owned()
    }

    /// Returns an argument with its variables replaced, and with the port of this machine.
    fn argument(&self, argument: &str, container: &Value) -> String {
        let mut argument = argument.to_owned();
        for variable in container["env"].as_array().into_iter().flatten() {
            let is_address = variable["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP";
            let value = if is_address { POD_IP } else { text(&variable["value"]) };
            argument = argument.replace(&format!("$({})", text(&variable["name"])), value);
        }
        assert!(!argument.contains('$'), "{argument}: a variable that the manifest does not set");
        for (_, number, here) in &self.ports {
            argument = argument.replace(&format!(":{number}"), &format!(":{here}"));
        }
        argument
    }

    fn begins(&self) {
        let output = self.command(&only(&pod(), "initContainers")).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// Returns the name of the container that runs the chain.
fn name() -> String {
    format!("braid-test-{}", std::process::id())
}

/// Returns the program that runs containers, if these tests use one.
fn engine() -> Option<Command> {
    let runs = env::var("BRAID_CONTAINER").ok()?;
    runs.split_whitespace().next().map(Command::new)
}

/// A process that is killed on drop.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    /// Waits until the probe of a container succeeds.
    fn until(&mut self, probe: &Value, pod: &Pod) {
        let probe = &probe["httpGet"];
        let address = format!("{POD_IP}:{}", pod.port(&probe["port"]));
        let begun = Instant::now();
        while get(&address, text(&probe["path"])).is_none() {
            assert!(self.0.try_wait().expect("asked").is_none(), "{probe}: it has ended");
            assert!(begun.elapsed() < PATIENCE, "{probe}: no answer");
            sleep(PAUSE);
        }
    }

    /// Requests the end of the process, as Kubernetes does.
    fn stop(mut self) -> ExitStatus {
        let asked = match engine() {
            Some(mut engine) => engine.args(["stop", "--time", "60", &name()]).status(),
            None => Command::new("kill").arg(self.0.id().to_string()).status(),
        };
        assert!(asked.expect("it starts").success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("asked") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        if let Some(mut engine) = engine() {
            // The container exists only if a test has failed.
            let _ = engine.args(["rm", "--force", &name()]).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn the_chain_of_the_manifest_runs_stops_and_goes_on() {
    let here = Pod::new();
    let container = only(&pod(), "containers");
    // The second time, the chain exists already.
    for _ in 0..2 {
        here.begins();
        let mut running = Running::start(here.command(&container));
        running.until(&container["readinessProbe"], &here);
        running.until(&container["livenessProbe"], &here);
        let rpc = format!("{POD_IP}:{}", here.port(&json!("rpc")));
        assert_eq!(get(&rpc, "/readyz").as_deref(), Some("ready\n"));
        let metrics = format!("{POD_IP}:{}", here.port(&json!("metrics")));
        let counters = get(&metrics, "/metrics").expect("counters");
        assert!(counters.contains("braid_head_block 0\n"), "{counters}");
        assert!(running.stop().success());
    }
    let volume = list(&container["volumeMounts"])[0]["mountPath"].clone();
    let folder = list(&container["args"]).last().expect("the folder").clone();
    assert!(text(&folder).starts_with(text(&volume)), "{folder} is not on the volume");
}

#[test]
fn services_and_policies_name_what_there_is() {
    let set = of_kind("chain.yaml", "StatefulSet");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    let container = only(&pod(), "containers");
    let ports: Vec<&Value> = list(&container["ports"]).iter().map(|port| &port["name"]).collect();
    let mut selected = 0;
    for object in objects("chain.yaml").iter().chain(&objects("rpc.yaml")) {
        let (kind, spec) = (text(&object["kind"]), &object["spec"]);
        if kind != "Namespace" {
            assert_eq!(object["metadata"]["namespace"], set["metadata"]["namespace"], "{object}");
        }
        let (selector, open) = match kind {
            "Service" => (&spec["selector"], &spec["ports"]),
            "NetworkPolicy" => (&spec["podSelector"]["matchLabels"], &spec["ingress"][0]["ports"]),
            _ => continue,
        };
        assert_eq!(selector, labels, "{object}");
        let port = &open[0][if kind == "Service" { "targetPort" } else { "port" }];
        assert!(ports.contains(&port), "{object}");
        selected += 1;
    }
    assert_eq!(selected, 4);
    assert_eq!(set["spec"]["serviceName"], of_kind("chain.yaml", "Service")["metadata"]["name"]);
    assert_eq!(set["spec"]["selector"]["matchLabels"], *labels);
    assert_eq!(set["spec"]["replicas"], 1, "one process uses a folder");
}

#[test]
fn containers_may_do_no_more_than_they_need() {
    let recipe = deploy("Containerfile");
    let user = recipe.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let pod = pod();
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    let group = security["runAsGroup"].clone();
    assert_eq!(user, format!("{}:{group}", security["runAsUser"]));
    assert_eq!(security["fsGroup"], group, "the volume is the user's");
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    for container in [only(&pod, "initContainers"), only(&pod, "containers")] {
        let wanted = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], wanted);
        let resources = &container["resources"];
        for amount in [&resources["requests"]["cpu"], &resources["limits"]["memory"]] {
            assert!(amount.is_string(), "{resources}");
        }
    }
    let labels = &of_kind("chain.yaml", "Namespace")["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert!(
        recipe.contains("\nFROM scratch\n") && recipe.contains("\"/usr/local/bin/braid-node\"")
    );
}

#[test]
fn json_rpc_is_opened_by_a_file_of_its_own_and_to_chosen_pods() {
    let container = only(&pod(), "containers");
    let host = list(&container["env"]).iter().find(|it| it["name"] == "RPC_HOST").expect("set");
    assert_eq!(host["value"], "127.0.0.1");
    let policies = ["chain.yaml", "rpc.yaml"].map(|name| of_kind(name, "NetworkPolicy"));
    let [before, after] = policies.map(|policy| policy["spec"]["ingress"].clone());
    assert_eq!(before, json!([{"ports": [{"port": "metrics"}]}]));
    assert_eq!(after[0]["ports"], json!([{"port": "rpc"}]));
    assert!(after[0]["from"][0]["podSelector"]["matchLabels"].is_object(), "{after}");
    // The node answers requests that name the service in any form that a pod can use.
    let service = of_kind("rpc.yaml", "Service")["metadata"].clone();
    let (name, space) = (text(&service["name"]), text(&service["namespace"]));
    let mut arguments = list(&container["args"]).iter().map(text);
    arguments.find(|it| *it == "--rpc-hosts").expect("set");
    let known: Vec<&str> = arguments.next().expect("hosts").split(',').collect();
    let named = ["", ".{space}", ".{space}.svc", ".{space}.svc.cluster.local"]
        .map(|end| format!("{name}{}", end.replace("{space}", space)));
    assert_eq!(known, named);
}

#[test]
fn the_page_is_about_what_there_is() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/CONTAINER.md")).expect("the page");
    let words = page.split(|it: char| it.is_whitespace() || "`:,;".contains(it));
    let files: Vec<&str> = words.filter(|word| word.starts_with("crates/node/")).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert!(root.join(file).exists(), "{file}");
    }
    // The tool accepts the arguments after the image's name.
    let image = concat!("localhost/braid-node:", env!("CARGO_PKG_VERSION"));
    let commands = page.replace("\\\n", " ");
    let commands: Vec<&str> = commands.lines().filter(|it| it.starts_with("podman run ")).collect();
    assert_eq!(commands.len(), 2);
    for command in commands {
        let words = command.split_once(image).expect("the image").1.split_whitespace();
        let mut asked = braid_node(&[]);
        let help = asked.args(words).arg("--help").output().expect("the tool starts");
        assert!(help.status.success(), "{}", String::from_utf8_lossy(&help.stderr));
        assert!(command.contains("--read-only"), "{command}");
    }
    for path in ["/healthz", "/readyz"] {
        assert!(page.contains(&format!("`GET {path}`")), "{path}");
    }
}

#[test]
fn a_chain_that_is_there_is_kept_if_its_genesis_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    chain(&["demo", "--blocks", "2", &at("demo")], 0);
    let (genesis, there) = (at("demo/genesis.json"), at("chain"));
    let init = ["init", "--if-missing", "--genesis", &genesis, &there];
    assert_eq!(json(&init)["number"], 0);
    assert_eq!(json(&["run", &there, &at("demo/blocks.rlp")])["blocks"], 2);
    let kept = json(&init);
    assert_eq!((&kept["number"], &kept["created"]), (&json!(2), &json!(false)));
    assert!(chain(&init, 0).contains("holds this chain, after block 2"));
    let said = chain(&["init", "--genesis", &genesis, &there], 2);
    assert!(!said.contains("holds this chain"), "{said}");
    // A different account, and a different chain.
    let of_file = fs::read_to_string(&genesis).expect("reads");
    let first: Value = serde_json::from_str(&of_file).expect("JSON");
    let change: [fn(&mut Value); 2] = [
        |it| it["alloc"]["0x00000000000000000000000000000000000000aa"] = json!({"balance": "0x1"}),
        |it| it["config"]["chainId"] = json!(9),
    ];
    for change in change {
        let mut genesis = first.clone();
        change(&mut genesis);
        fs::write(at("other.json"), genesis.to_string()).expect("written");
        let said = chain(&["init", "--if-missing", "--genesis", &at("other.json"), &there], 2);
        assert!(said.contains("began with another genesis"), "{said}");
    }
    assert_eq!(json(&["inspect", &there])["number"], 2);
}
