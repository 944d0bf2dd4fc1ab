//! Network namespaces that this process holds: entered by threads of their own, which never act outside of one again.
//!
//! A socket belongs to the namespace of the thread that made it, wherever it is used afterwards, and a process starts in the
//! namespace of the thread that starts it. So only making and starting needs one of these threads.
//!
//! [`access`]: whether namespaces can be had. [`arrival_filter`]: what a host does not receive. [`host`]: namespaces with cables to
//! bridges. [`netlink`]: what the kernel is asked for in one. [`control_group`]: what processes may use. [`process`], `confine`: starts programs in one, without power; listens
//! to them.

pub mod access;
pub(crate) mod arrival_filter;
mod confine;
pub(crate) mod control_group;
pub(crate) mod host;
pub(crate) mod netlink;
pub(crate) mod process;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, anyhow};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that enter namespaces. They live as long as anybody holds this.
///
/// The parent-death signal of a process that they start follows the thread that started it.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceWorkers {
    jobs: Sender<Job>,
}

impl NamespaceWorkers {
    /// So many threads.
    pub(crate) fn new(threads: usize) -> anyhow::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let work = move || work(&queue);
            thread::Builder::new().name("namespaces".to_owned()).spawn(work).context("starting a thread")?;
        }
        Ok(NamespaceWorkers { jobs })
    }

    /// Makes a namespace, and does something in it first.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        first: impl FnOnce(&Namespace) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<(Namespace, T)> {
        let workers = self.clone();
        let make = move || {
            unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
            let namespace = Namespace { file: Arc::new(own()?), workers };
            let result = first(&namespace)?;
            Ok((namespace, result))
        };
        self.run(make).await
    }

    /// The namespace of this process.
    pub(crate) fn home(&self) -> anyhow::Result<Namespace> {
        self.open(std::process::id().into())
    }

    /// The namespace of a process. Whether it may be entered shows only then.
    pub(crate) fn open(&self, pid: i64) -> anyhow::Result<Namespace> {
        let path = format!("/proc/{pid}/ns/net");
        let file = File::open(&path).with_context(|| format!("{path} cannot be opened"))?;
        Ok(Namespace { file: Arc::new(file), workers: self.clone() })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, result) = oneshot::channel();
        // Whoever waited may have given up.
        let job = Box::new(move || drop(done.send(job())));
        self.jobs.send(job).map_err(|_| anyhow!("the threads of the namespaces have ended"))?;
        result.await.map_err(|_| anyhow!("a thread of the namespaces ended early"))?
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

fn own() -> anyhow::Result<File> {
    File::open("/proc/thread-self/ns/net").context("/proc/thread-self/ns/net cannot be opened")
}

/// Lets this process hold as many descriptors as it may. A host takes about four: its namespace, the log and the output of its
/// process, a connection to it; one of the probe takes some sockets.
pub(crate) fn raise_descriptor_limit() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("asking for the limit on descriptors")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit on descriptors")
}

/// A network namespace, as long as this is held or a process or socket is in it.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    file: Arc<File>,
    workers: NamespaceWorkers,
}

impl Namespace {
    /// Takes the calling thread into it, for good: only for threads of a [`NamespaceWorkers`].
    pub(crate) fn enter(&self) -> io::Result<()> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// Does something in it, on one of the threads for that.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let inside = self.clone();
        let job = move || {
            inside.enter().context("entering a network namespace")?;
            job()
        };
        self.workers.run(job).await
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
