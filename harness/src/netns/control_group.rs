//! Control groups of the kernel (cgroups(7)) that limit processes: of version 2 where its controllers are, else of version 1.
//!
//! They have names, so that what a harness leaves that was killed is removed by the next one that makes some.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::plan::NodeLimits;

/// How the names of groups begin; the number of the harness's process and the name of the node follow.
const PREFIX: &str = "butter";
/// Time over which the share of a core is kept, in microseconds: the kernel's own choice.
const PERIOD_US: u64 = 100_000;
/// The file of a group with its processes.
const PROCESSES: &str = "cgroup.procs";

/// A group for the processes of one node. Removed when this is dropped, once they have ended.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    /// One for each hierarchy that limits something.
    folders: Vec<PathBuf>,
    /// Where the kernel counts processes that it has killed for want of memory.
    kills: Option<PathBuf>,
}

/// A mounted hierarchy in which groups can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    is_unified: bool,
    controllers: Vec<String>,
    /// Folders in which a group might be made, the best first.
    bases: Vec<PathBuf>,
}

impl ControlGroup {
    /// Makes one with these limits.
    ///
    /// # Errors
    /// If the kernel has no such controllers, or this process may not use them.
    pub(crate) fn make(node: &str, limits: NodeLimits) -> io::Result<Self> {
        let (mounts, own) = (fs::read_to_string("/proc/self/mountinfo")?, fs::read_to_string("/proc/self/cgroup")?);
        let hierarchies = hierarchies(&mounts, &own);
        let mut group = ControlGroup { folders: Vec::new(), kills: None };
        let name = format!("{PREFIX}-{}-{node}", std::process::id());
        let wanted = [limits.memory.map(|_| "memory"), limits.cpu.map(|_| "cpu")].into_iter().flatten();
        for controller in wanted {
            let folder = make_in(&hierarchies, controller, &name)?;
            if !group.folders.contains(&folder.0) {
                group.folders.push(folder.0.clone());
            }
            group.limit(&folder.0, folder.1, controller, limits)?;
        }
        Ok(group)
    }

    fn limit(&mut self, folder: &Path, is_unified: bool, controller: &str, limits: NodeLimits) -> io::Result<()> {
        let set = |file: &str, value: String| write_to(&folder.join(file), &value);
        match (controller, is_unified, limits.memory, limits.cpu) {
            ("memory", true, Some(bytes), _) => {
                self.kills = Some(folder.join("memory.events"));
                set("memory.max", bytes.to_string())?;
                set_if_there(&folder.join("memory.swap.max"), "0")
            }
            ("memory", false, Some(bytes), _) => {
                self.kills = Some(folder.join("memory.oom_control"));
                set("memory.limit_in_bytes", bytes.to_string())?;
                set_if_there(&folder.join("memory.memsw.limit_in_bytes"), &bytes.to_string())
            }
            (_, true, _, Some(share)) => set("cpu.max", format!("{} {PERIOD_US}", quota_us(share))),
            (_, false, _, Some(share)) => {
                set("cpu.cfs_period_us", PERIOD_US.to_string())?;
                set("cpu.cfs_quota_us", quota_us(share).to_string())
            }
            _ => Ok(()),
        }
    }

    /// Files to which a process writes `0` to enter the group.
    ///
    /// # Errors
    /// If they cannot be opened.
    pub(crate) fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |folder: &PathBuf| OpenOptions::new().write(true).open(folder.join(PROCESSES)).map(OwnedFd::from);
        self.folders.iter().map(open).collect()
    }

    /// How many of its processes the kernel has killed for want of memory; nothing without such a limit.
    pub(crate) fn memory_kills(&self) -> u64 {
        let Some(text) = self.kills.as_ref().and_then(|file| fs::read_to_string(file).ok()) else { return 0 };
        kills_in(&text)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            if let Err(error) = fs::remove_dir(folder) {
                tracing::warn!(folder = %folder.display(), %error, "a control group is left; the next run with limits removes it");
            }
        }
    }
}

/// Makes a group in the first hierarchy and folder where its controller works. Whether that is one of version 2.
fn make_in(hierarchies: &[Hierarchy], controller: &str, name: &str) -> io::Result<(PathBuf, bool)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no control group has the controller {controller}"));
    let with = hierarchies.iter().filter(|hierarchy| hierarchy.controllers.iter().any(|known| known == controller));
    for hierarchy in with {
        for base in &hierarchy.bases {
            match enabled(hierarchy, base, controller).and_then(|()| make_at(base, name)) {
                Ok(folder) => return Ok((folder, hierarchy.is_unified)),
                Err(error) => last = io::Error::new(error.kind(), format!("{}: {error}", base.display())),
            }
        }
    }
    Err(last)
}

/// Has groups in a folder use a controller: of version 2 it must be said.
fn enabled(hierarchy: &Hierarchy, base: &Path, controller: &str) -> io::Result<()> {
    if !hierarchy.is_unified {
        return Ok(());
    }
    let file = base.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&file)?;
    match enabled.split_whitespace().any(|known| known == controller) {
        true => Ok(()),
        false => write_to(&file, &format!("+{controller}")),
    }
}

fn make_at(base: &Path, name: &str) -> io::Result<PathBuf> {
    remove_orphans(base);
    let folder = base.join(name);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A folder that is none of the kernel's has no such file.
    if folder.join(PROCESSES).exists() {
        return Ok(folder);
    }
    fs::remove_dir(&folder)?;
    Err(io::Error::new(io::ErrorKind::Unsupported, "no control groups are mounted there"))
}

/// Removes groups of harnesses that are no more. Those that are in use stay: the kernel refuses.
fn remove_orphans(base: &Path) {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| owner(&entry.file_name()).is_some_and(|owner| !is_process(owner))) {
        if let Err(error) = fs::remove_dir(entry.path()) {
            tracing::debug!(%error, "a control group of an earlier run cannot be removed");
        }
    }
}

/// The process that made the group of this name.
fn owner(name: &OsStr) -> Option<u32> {
    name.to_str()?.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-').next()?.parse().ok()
}

fn is_process(number: u32) -> bool {
    Path::new(&format!("/proc/{number}")).exists()
}

fn write_to(file: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;
    File::options().write(true).open(file)?.write_all(text.as_bytes())
}

fn set_if_there(file: &Path, text: &str) -> io::Result<()> {
    match write_to(file, text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The kernel takes no less than a millisecond.
fn quota_us(share: f64) -> u64 {
    ((share * PERIOD_US as f64).round() as u64).max(1_000)
}

/// The line `oom_kill 1` of `memory.events` and of `memory.oom_control`.
fn kills_in(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The hierarchies of `/proc/self/mountinfo` (proc(5)), and where this process is in each by `/proc/self/cgroup`.
fn hierarchies(mounts: &str, own: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = mounts.lines().filter_map(|line| hierarchy(line, own)).collect();
    found.sort_by_key(|hierarchy| !hierarchy.is_unified);
    found
}

fn hierarchy(line: &str, own: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, Path::new(mount.next()?));
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    let options = filesystem.nth(1)?;
    let is_unified = kind == "cgroup2";
    if !is_unified && kind != "cgroup" {
        return None;
    }
    let controllers: Vec<String> = match is_unified {
        true => {
            let text = fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        }
        false => options.split(',').map(str::to_owned).collect(),
    };
    let is_here = |list: &str| match is_unified {
        true => list.is_empty(),
        false => list.split(',').any(|name| controllers.iter().any(|known| known == name)),
    };
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (list, path) = (parts.next()?, parts.next()?);
        is_here(list).then_some(path)
    });
    let inside = path.map(|path| point.join(path.strip_prefix(root).unwrap_or(path).trim_start_matches('/')));
    // A group of version 2 that has processes of its own has no groups with limits inside.
    let near = inside.and_then(|inside| match is_unified {
        true => inside.parent().filter(|parent| parent.starts_with(point)).map(Path::to_owned),
        false => Some(inside),
    });
    let bases = near.into_iter().chain([point.to_owned()]).collect();
    Some(Hierarchy { is_unified, controllers, bases })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_where_they_are_mounted() {
        let mounts = "30 20 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      31 20 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                      32 20 0:29 / /nowhere/unified rw,relatime - cgroup2 cgroup2 rw\n\
                      33 20 0:30 / /tmp rw - tmpfs tmpfs rw\n";
        let own = "4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/user/app\n";
        let found = hierarchies(mounts, own);
        let bases = |at: usize| found[at].bases.iter().map(|base| base.display().to_string()).collect::<Vec<_>>();
        assert_eq!(found.iter().map(|one| one.is_unified).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(bases(0), ["/nowhere/unified/user", "/nowhere/unified"]);
        assert_eq!(bases(1), ["/sys/fs/cgroup/memory/jobs/7", "/sys/fs/cgroup/memory"]);
        assert_eq!(bases(2), ["/sys/fs/cgroup/cpu/", "/sys/fs/cgroup/cpu"]);
        assert_eq!(found[2].controllers, ["rw", "cpu", "cpuacct"]);
    }

    #[test]
    fn kills_are_counted_by_both_versions() {
        assert_eq!(kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(kills_in("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills_in("low 0\n"), 0);
    }

    #[test]
    fn a_share_of_a_core_is_time_of_each_period() {
        assert_eq!([0.5, 1.0, 0.001].map(quota_us), [50_000, 100_000, 1_000]);
        assert_eq!(owner(OsStr::new("butter-71-b-2")), Some(71));
        assert_eq!(owner(OsStr::new("docker-71")), None);
    }
}
