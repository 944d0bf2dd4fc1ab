//! Examples, exit statuses and variables for the help texts.

use butter_cli::arguments::OtherVariable;

use crate::backend::process::node_command::LOG_VARIABLE as NODE_LOG_VARIABLE;
use crate::programs::NODE_BINARY_VARIABLE;

/// Holds the log filter.
pub(super) use crate::backend::process::node_command::ROUTER_LOG_VARIABLE as LOG_VARIABLE;

/// Variables that belong to no option.
pub(super) const OTHER_VARIABLES: &[OtherVariable] = &[
    (LOG_VARIABLE, "Log filter, of routers as well: error (default), info, or butter_harness=debug"),
    (NODE_LOG_VARIABLE, "Log filter of the nodes of a run, unless their `config` has `log`"),
    (NODE_BINARY_VARIABLE, "Node program to run: a static Linux executable"),
    ("DOCKER_HOST", "Address of the Docker engine"),
    ("NO_COLOR", "Do not colour output"),
    ("CLICOLOR_FORCE", "Colour output that is not shown on a terminal"),
];

pub(super) const TOP: &str = "\
Examples:
  harness doctor
  harness run topologies/three-lans.yaml
  harness run topologies/*.yaml --backend sim --jobs 2 --junit junit.xml

Exit status:
    0  All checks hold
    1  A check failed, or a step did not end as planned
    2  The command line, a variable or a file is wrong
    3  The environment failed (no engine, no image, disk full, a router died, the machine was saturated), or the time limit
       ended the run
    4  Nothing failed, but a check could not be measured, or there is none
   70  A bug of this program
  130  Interrupted";

pub(super) const RUN: &str = "\
Examples:
  harness run topologies/three-lans.yaml
  harness run topologies/churn.yaml --backend sim --seed 7 --set die=1/50
  cat one.yaml | harness run - --json
  harness run runs/three-lans-20261129T140000Z-7

A record is played again with the seed, values and options of then. Only options on the command line change it.

Exit status: 0 all checks hold; 1 a check failed; 2 wrong arguments or file; 3 environment or time limit; 130 interrupted.";

pub(super) const UP: &str = "\
Deploys networks, routers and nodes as `harness run` does, plays no step, and leaves all of it up. A process of its own keeps the
lab until `harness down`. If that process ends, the lab ends with it. With a lab of that name up, brings it to the file: links change,
nodes are added, removed, or started again with other settings. What cannot change in place, such as another network, is
named, and nothing is done. A node that steps have moved is made anew where the file has it.

Examples:
  harness up topologies/one-lan.yaml --keys
  harness up topologies/three-lans.yaml --backend netns --name second
  harness up topologies/cgnat.yaml --foreground
  harness up changed.yaml --name second --dry-run

Exit status: 0 the lab is up; 2 wrong arguments or file; 3 it cannot be deployed; 130 interrupted. Nothing is left then.";

pub(super) const PS: &str = "\
Examples:
  harness ps
  harness ps lan --json | jq .nodes

Exit status: 0 all labs are listed; 3 a keeper has gone, and `harness down LAB` removes what it left.";

pub(super) const EXEC: &str = "\
The program has the files of this machine and the network of the host: containers of the testbed have no programs of their own.
Names are looked up as this machine does, so name hosts by address. BUTTER_API and BUTTER_API_TOKEN lead `butter` to the node.
On Docker this takes root.

Examples:
  harness exec a-1 -- ping -c 3 10.1.0.11
  harness exec router-home -- ip address
  harness exec a-1 -- butter peers
  harness exec a-1 -- tshark -i any

Exit status: that of the program; 2 no such node; 3 the host cannot be entered, or the lab went meanwhile.";

pub(super) const SHELL: &str = "\
As `harness exec` with the shell that SHELL names.

Examples:
  harness shell a-1
  harness shell router-home --lab second

Exit status: that of the shell; 2 no such node; 3 the host cannot be entered, or the lab went meanwhile.";

pub(super) const LOGS: &str = "\
Examples:
  harness logs a-1
  harness logs router-home --follow --tail 20

Exit status: 0 the log was printed; 2 no such node; 3 it cannot be read.";

pub(super) const CAPTURE: &str = "\
Writes each packet with its interface, direction and time. If the lab was brought up with --keys, the file has the secrets of QUIC
too: then Wireshark and tshark show what links carry that begin during the capture. On Docker this takes root, and a node that starts
again has another network: capture at its peers or its router. For the simulator see `harness run --capture`.

Examples:
  harness capture a-1
  harness capture a-1 --write a-1.pcapng
  harness capture router-home --for 10s --write home.pcapng && tshark -r home.pcapng -Y quic
  harness capture a-1 --write - | wireshark -k -i -

Exit status: 0 everything is written; 2 no such node or file; 3 the host cannot be entered, or the lab went meanwhile.";

pub(super) const PUT: &str = "\
Examples:
  harness put a-1 notes.txt
  date | harness put a-1 - --keywords date,now

Exit status: 0 stored at all peers that it must have; 1 not; 2 no such node or file; 3 the node does not answer; 4 too few copies in
time.";

pub(super) const GET: &str = "\
Examples:
  harness get b-2 ID > notes.txt
  harness get b-2 ID --output notes.txt

Exit status: 0 found; 1 not found; 2 no such node; 3 the node does not answer; 4 not found so far.";

pub(super) const SEARCH: &str = "\
Examples:
  harness search b-2 rust nat
  harness search b-2 'rust AND (nat OR \"hole punching\") NOT draft'

Exit status: 0 found; 1 nothing found; 2 no such node, or a wrong query; 3 the node does not answer.";

pub(super) const PLAY: &str = "\
A file with `steps` and `checks` alone is played on the topology of the lab. A whole topology file must describe the lab that is up.
Nodes that earlier steps have ended stay down until a step starts them, and those that have moved stay where they are. Ctrl-C ends
the steps and leaves the lab up. With --out, a record is written as of a run, without logs of nodes.

Examples:
  harness play steps.yaml
  harness play steps.yaml --out runs/by-hand
  harness play topologies/three-lans.yaml --lab three-lans --set die=1/50

Exit status: 0 all checks hold; 1 a check failed; 2 wrong arguments or file; 3 environment; 4 nothing was checked; 130 interrupted.";

pub(super) const DOWN: &str = "\
Examples:
  harness down
  harness down lan
  harness down --all

Exit status: 0 nothing of the lab is left; 2 no such lab; 3 something is left.";

pub(super) const VALIDATE: &str = "\
Examples:
  harness validate topologies/*.yaml
  harness validate - < one.yaml

Exit status: 0 all files are valid; 2 one is not.";

pub(super) const PLAN: &str = "\
Examples:
  harness plan topologies/three-lans.yaml
  harness plan topologies/three-lans.yaml --format json | jq .networks
  harness plan topologies/churn.yaml --set die=1/50 --format yaml

Exit status: 0 the file is valid; 2 it is not.";

pub(super) const SCHEMA: &str = "\
Editors check a topology while it is written if its first line names the schema:
  # yaml-language-server: $schema=schema.json

Examples:
  harness schema > schema.json

Exit status: 0 the schema is printed; 3 it cannot be written.";

pub(super) const GRAPH: &str = "\
Examples:
  harness graph topologies/three-lans.yaml > three-lans.svg
  harness graph topologies/cgnat.yaml --format dot | dot -Tpng -o cgnat.png
  harness graph topologies/churn.yaml --set nodes=30 --format mermaid

Exit status: 0 the drawing is printed; 2 the file is not valid; 3 the drawing cannot be written.";

pub(super) const DOCTOR: &str = "\
Examples:
  harness doctor

Exit status: 0, whatever is usable; 3 the output cannot be written.";

pub(super) const IMAGE: &str = "\
Examples:
  harness image

Exit status: 0 the image exists; 3 it cannot be built.";

pub(super) const AGREE: &str = "\
The simulator plays with the fidelity packet. Means over seeds agree if shares lie within the other's 95 % interval, latencies
differ by no more than 15 % or 5 ms, messages by 10 %, and copies by 2 %. A greater difference that chance may explain is open.

Examples:
  harness agree topologies/agreement/*.yaml
  harness agree topologies/agreement/clean.yaml --backend netns,docker --seeds 1..5

Exit status: 0 all measures agree; 1 one does not; 4 some are open; otherwise that of the run that could not be played.";

pub(super) const COMPARE: &str = "\
Compares two sets of runs of one topology, for example from two backends or versions. Four runs in each set are enough for a
test over runs; fewer show only whether pairs of nodes connect alike.

Examples:
  harness compare runs/before runs/after
  harness compare runs/netns-1 runs/netns-2 -- runs/sim-*
  harness compare --tolerance 5% runs/netns runs/sim

Exit status: 0 no difference is significant; 1 one is; 2 the records cannot be compared; 4 too few runs to judge anything.";

pub(super) const EXPLAIN: &str = "\
Lists lost items, failed puts and queries, nodes that were down at the end, and incidents, each with its cause.

Examples:
  harness explain runs/three-lans-1
  harness explain runs/three-lans-1 item 17
  harness explain runs/three-lans-1 query 203

Exit status: 0 the story is printed; 2 there is no such record, item or query.";

pub(super) const REPORT: &str = "\
Each run has its page in its directory, as after `harness run`. A directory of several runs has one more page, with a table of them
and plots with 95 % intervals. The pages need no network.

Examples:
  harness report runs/three-lans-1
  harness report runs/before
  harness report runs/before runs/after --out both.html

Exit status: 0 the pages are written; 2 there is no such record; 3 a page cannot be written.";

pub(super) const EXPLORE: &str = "\
Each scenario follows from its seed: networks, NATs, nodes, settings and faults. Nothing may be lost by a live node, acknowledged
too early, or be neither found nor healed after two minutes of quiet. A scenario in which something does not hold is made as small
as it gets, and written to a topology file.

Examples:
  harness explore --runs 10000 --jobs 2
  harness explore runs/explore/explored-17.yaml

Exit status: 0 everything holds; 1 something does not; 2 a file is not valid.";

pub(super) const SAMPLES: &str = "\
Prints the columns time_s, node, network, group, metric, labels and value. A router has the name of its network.

Examples:
  harness samples runs/three-lans-1 --metric butter_known_hosts
  harness samples runs/three-lans-1 --node a-1 --node b-2 > samples.csv
  harness samples runs/three-lans-1 --format openmetrics > run.om
  promtool tsdb create-blocks-from openmetrics run.om data/

Exit status: 0 samples were printed; 2 there are none, or the record cannot be read.";

pub(super) const TABLE: &str = "\
Each combination of the values that a file varies is a row of its own: mean, 95 % interval and spread over its runs.

Examples:
  harness run topologies/retrieval-rig.yaml --backend sim --out runs/rig
  harness table runs/rig
  harness table runs/rig --format csv > rig.csv

Exit status: 0 the table was printed; 2 there is no record, or one cannot be read.";

pub(super) const CLEAN: &str = "\
Examples:
  harness clean
  harness clean --run 1f2e3d

Exit status: 0 nothing of the chosen runs is left; 3 something is.";

pub(super) const BENCH: &str = "\
Examples:
  harness bench sim --nodes 20000
  harness bench up --backend netns
  sudo harness bench router

Exit status: 0 all targets are met; 1 one is not; 3 the environment failed.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  harness completions bash > ~/.local/share/bash-completion/completions/harness
  harness completions zsh > ~/.zfunc/_harness
  harness completions fish > ~/.config/fish/completions/harness.fish

Exit status: 0 the script is printed; 2 there is none for this shell; 3 it cannot be written.";

pub(super) const MAN: &str = "\
Examples:
  harness man ~/.local/share/man/man1
  man harness-run

Exit status: 0 the pages are written; 3 they cannot be.";
