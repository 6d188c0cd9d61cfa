//! A node's own cgroups, in every hierarchy that the machine has mounted: what its processes are found by, and killed by. Of version 2
//! nothing may be in a cgroup that passes its controllers on, so a node's processes are in a leaf below it.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Where hierarchies are looked for.
const MOUNTS: &str = "/sys/fs/cgroup";
/// The leaf of version 2.
const LEAF: &str = "init";
/// How long killed processes, and cgroups of those, may take to go.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(10);

/// A cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    /// Where the hierarchy is mounted.
    pub(super) mount: PathBuf,
    /// Where the node's namespace begins.
    pub(super) root: PathBuf,
    /// Where its processes are.
    pub(super) leaf: PathBuf,
}

/// The cgroups of this name, whether they are there or not.
pub(super) fn all(name: &Path) -> io::Result<Vec<Cgroup>> {
    Ok(in_mounts(&fs::read_to_string("/proc/self/mounts")?, name))
}

fn in_mounts(mounts: &str, name: &Path) -> Vec<Cgroup> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (mount, kind) = (Path::new(fields.next()?), fields.next()?);
        let root = mount.join(name);
        let leaf = if kind == "cgroup2" { root.join(LEAF) } else { root.clone() };
        let ours = matches!(kind, "cgroup" | "cgroup2") && mount.starts_with(MOUNTS);
        ours.then(|| Cgroup { mount: mount.to_owned(), root, leaf })
    });
    mounted.collect()
}

/// Makes them.
pub(super) fn make(cgroups: &[Cgroup]) -> io::Result<()> {
    for cgroup in cgroups {
        let mut at = cgroup.mount.clone();
        for part in cgroup.leaf.strip_prefix(&cgroup.mount).into_iter().flatten() {
            let above = at.clone();
            at.push(part);
            if above != cgroup.root {
                pass_on(&above);
            }
            match fs::create_dir(&at) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            inherit(&above, &at)?;
        }
    }
    Ok(())
}

/// Has what is below a cgroup of version 2 use the controllers that it has. What it may not pass on is not missed.
fn pass_on(cgroup: &Path) {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        if let Err(error) = fs::write(cgroup.join("cgroup.subtree_control"), format!("+{controller}")) {
            tracing::debug!(cgroup = %cgroup.display(), controller, %error, "controller is not passed on");
        }
    }
}

/// A new cpuset of version 1 has no processors, and nothing can enter it.
fn inherit(above: &Path, below: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let Ok(own) = fs::read_to_string(below.join(file)) else { continue };
        if own.trim().is_empty() && !below.join("cgroup.controllers").exists() {
            fs::write(below.join(file), fs::read_to_string(above.join(file))?)?;
        }
    }
    Ok(())
}

/// Kills everything in them, and waits until it is gone.
pub(super) fn kill(cgroups: &[Cgroup]) -> io::Result<()> {
    let gone = until(|| {
        let processes: HashSet<Pid> = cgroups.iter().flat_map(|it| processes(&it.root)).collect();
        for process in &processes {
            // It may have ended meanwhile.
            let _ = kill_process(*process, Signal::KILL);
        }
        processes.is_empty()
    });
    if gone { Ok(()) } else { Err(io::Error::other("its processes do not end")) }
}

/// Whether a process is in them.
pub(super) fn is_populated(cgroups: &[Cgroup]) -> bool {
    cgroups.iter().any(|it| !processes(&it.root).is_empty())
}

/// Removes them with everything below, and what is above if it has become empty.
pub(super) fn remove(cgroups: &[Cgroup]) -> io::Result<()> {
    // A process that ended is in its cgroup until the kernel has let go of it.
    if !until(|| cgroups.iter().all(|it| remove_tree(&it.root).is_ok())) {
        return Err(io::Error::other("its cgroups cannot be removed"));
    }
    for cgroup in cgroups {
        let above = cgroup.root.ancestors().skip(1).take_while(|it| *it != cgroup.mount);
        for path in above {
            // Others are still in it.
            let Ok(()) = fs::remove_dir(path) else { break };
        }
    }
    Ok(())
}

/// Looks until something is so, for a while; whether it is.
pub(super) fn until(mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

fn below(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir())).map(|it| it.path()).collect()
}

fn processes(cgroup: &Path) -> Vec<Pid> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<Pid> = own.lines().filter_map(|it| Pid::from_raw(it.parse().ok()?)).collect();
    all.extend(below(cgroup).iter().flat_map(|it| processes(it)));
    all
}

fn remove_tree(cgroup: &Path) -> io::Result<()> {
    for it in below(cgroup) {
        remove_tree(&it)?;
    }
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_is_found() {
        let mounts = "proc /proc proc rw 0 0\n\
            cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
            cgroup /var/lib/machines/x/sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        let cgroup = |mount: &str, leaf: &str| {
            let root = Path::new(mount).join("rebar/light/n1");
            Cgroup { mount: mount.into(), leaf: if leaf.is_empty() { root.clone() } else { root.join(leaf) }, root }
        };
        let expected = [cgroup("/sys/fs/cgroup/cpu,cpuacct", ""), cgroup("/sys/fs/cgroup/unified", "init")];
        assert_eq!(in_mounts(mounts, Path::new("rebar/light/n1")), expected);
        let alone = in_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", Path::new("rebar/light/n1"));
        assert_eq!(alone, [cgroup("/sys/fs/cgroup", "init")]);
    }

    #[test]
    fn what_is_not_there_is_killed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("rebar/light/n1");
        let cgroups = [Cgroup { mount: folder.path().to_owned(), leaf: root.clone(), root }];
        kill(&cgroups).unwrap();
        remove(&cgroups).unwrap();
        make(&cgroups).unwrap();
        assert!(cgroups[0].root.is_dir());
        remove(&cgroups).unwrap();
        assert!(!folder.path().join("rebar").exists(), "what is above goes too when nobody else is there");
    }
}
