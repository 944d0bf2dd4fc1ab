//! Disks that fail: seen and changed through the process of a node, so that every engine and every namespace is alike.
//!
//! A full disk is a limit on the length of the node's files. A damaged one is a file in which pages with contents of blocks are
//! changed, as a bad sector changes them. Pages with the index are left alone: a store that cannot be opened is another case.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use anyhow::{Context, bail};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{ProcessHost, ProcessRun};
use crate::plan::NodeIndex;

/// Name of the database of a node's store.
const DATABASE: &str = "blocks.redb";
/// Length of a page.
const PAGE: u64 = 4_096;
/// How a page begins that holds a single long content: it is a leaf of a tree, with one entry.
const CONTENT_PAGE: (u8, [u8; 2]) = (1, [1, 0]);

/// Has the disk of a node be full, or have room again.
pub(super) async fn fill<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex, full: bool) -> anyhow::Result<()> {
    let (process, path) = place(run, node).await?;
    let limit = match full {
        // Pages that are free may still be used.
        true => std::fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len(),
        false => libc::RLIM_INFINITY,
    };
    let limited = tokio::task::spawn_blocking(move || limit_files(process, limit)).await;
    limited.context("limiting the length of its files")?.context("limiting the length of its files")
}

/// Changes a share of the pages with contents.
pub(super) async fn corrupt<H: ProcessHost>(
    run: &ProcessRun<H>,
    node: NodeIndex,
    share: f64,
    seed: u64,
) -> anyhow::Result<()> {
    let (_, path) = place(run, node).await?;
    let changed = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new().read(true).write(true).open(&path);
        corrupt_file(&file.with_context(|| format!("opening {}", path.display()))?, share, seed)
    });
    changed.await.context("damaging its store")?
}

async fn place<H: ProcessHost>(run: &ProcessRun<H>, node: NodeIndex) -> anyhow::Result<(i32, PathBuf)> {
    let process = H::process_id(run, node).await?;
    Ok((process, PathBuf::from(format!("/proc/{process}/{}/{DATABASE}", H::STORE))))
}

fn corrupt_file(file: &File, share: f64, seed: u64) -> anyhow::Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let pages = file.metadata().context("its length")?.len() / PAGE;
    let mut found = 0_u64;
    for page in 0..pages {
        let mut head = [0; 4];
        file.read_exact_at(&mut head, page * PAGE)?;
        if head[0] != CONTENT_PAGE.0 || head[2..] != CONTENT_PAGE.1 {
            continue;
        }
        found += 1;
        if random.random::<f64>() < share {
            let at = page * PAGE + PAGE / 2;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[!byte[0]], at)?;
        }
    }
    if found == 0 {
        bail!("its store has no block of more than two kilobytes");
    }
    Ok(())
}

/// Limits how long the files of a process may become; what is beyond fails. Whoever the process belongs to may do that. So a
/// thread of its own takes that identity, and ends: credentials of Linux belong to threads.
fn limit_files(process: i32, limit: u64) -> io::Result<()> {
    let owner = std::fs::metadata(format!("/proc/{process}"))?;
    let limited = std::thread::spawn(move || {
        become_owner(owner.uid(), owner.gid())?;
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: `limits` is a valid structure that is only read, and no old limits are asked for.
        done(unsafe { libc::prlimit(process, libc::RLIMIT_FSIZE, &raw const limits, std::ptr::null_mut()) }.into())
    });
    limited.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Gives the calling thread, and no other, the identity of a user.
fn become_owner(user: u32, group: u32) -> io::Result<()> {
    if user == nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    // SAFETY: the system calls take numbers alone. The C library's functions would change all threads.
    done(unsafe { libc::syscall(libc::SYS_setresgid, group, group, group) })?;
    // SAFETY: as before.
    done(unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) })
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_with_a_single_content_are_changed() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0; 8 * PAGE as usize];
        for page in [2, 5] {
            bytes[page * PAGE as usize..][..4].copy_from_slice(&[1, 0, 1, 0]);
        }
        bytes[6 * PAGE as usize..][..4].copy_from_slice(&[1, 0, 9, 0]);
        file.write_all_at(&bytes, 0).unwrap();
        corrupt_file(&file, 1.0, 7).unwrap();
        let mut after = vec![0; bytes.len()];
        file.read_exact_at(&mut after, 0).unwrap();
        let changed: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != after[at]).collect();
        assert_eq!(changed, [2, 5].map(|page| page * PAGE as usize + PAGE as usize / 2));
        let empty = tempfile::tempfile().unwrap();
        assert!(corrupt_file(&empty, 1.0, 7).unwrap_err().to_string().contains("no block"));
    }
}
