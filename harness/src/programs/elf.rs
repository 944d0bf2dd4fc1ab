//! Whether a program runs in an image that has nothing but that program.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Program header of type PT_INTERP: names the dynamic loader (ELF specification, "Program Header").
const PT_INTERP: u32 = 3;
/// Program headers that are looked at; real programs have about a dozen.
const HEADERS_MAX: u16 = 256;

/// What a file is, as far as an empty image cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linkage {
    /// Runs by itself.
    Static,
    /// Asks for a dynamic loader and libraries.
    Dynamic,
    /// Not a 64-bit little-endian ELF program.
    Foreign,
}

/// Looks at a file.
pub(super) fn kind(path: &Path) -> io::Result<Linkage> {
    kind_of(&mut File::open(path)?)
}

fn kind_of(file: &mut (impl Read + Seek)) -> io::Result<Linkage> {
    let mut header = [0_u8; 64];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Linkage::Foreign),
        Err(error) => return Err(error),
    }
    let is_elf64_little = header.starts_with(b"\x7fELF\x02\x01");
    if !is_elf64_little {
        return Ok(Linkage::Foreign);
    }
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let offset = u64::from_le_bytes(header[32..40].try_into().expect("eight bytes"));
    let (size, count) = (u64::from(u16_at(54)), u16_at(56));
    for index in 0..u64::from(count.min(HEADERS_MAX)) {
        let Some(at) = index.checked_mul(size).and_then(|skip| offset.checked_add(skip)) else {
            return Ok(Linkage::Foreign);
        };
        let mut kind = [0_u8; 4];
        file.seek(SeekFrom::Start(at))?;
        if file.read_exact(&mut kind).is_err() {
            return Ok(Linkage::Foreign);
        }
        if u32::from_le_bytes(kind) == PT_INTERP {
            return Ok(Linkage::Dynamic);
        }
    }
    Ok(Linkage::Static)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn program(header_kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0_u8; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..56].copy_from_slice(&56_u16.to_le_bytes());
        file[56..58].copy_from_slice(&(header_kinds.len() as u16).to_le_bytes());
        for kind in header_kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[track_caller]
    fn check(file: Vec<u8>, expected: Linkage) {
        assert_eq!(kind_of(&mut Cursor::new(file)).unwrap(), expected);
    }

    #[test]
    fn a_program_that_asks_for_a_loader_is_dynamic() {
        check(program(&[1, 1, 2]), Linkage::Static);
        check(program(&[6, 3, 1]), Linkage::Dynamic);
    }

    #[test]
    fn anything_else_is_foreign() {
        check(b"#!/bin/sh\n".to_vec(), Linkage::Foreign);
        check(vec![0; 4_096], Linkage::Foreign);
        let mut cut = program(&[1, 1]);
        cut.truncate(100);
        check(cut, Linkage::Foreign);
        let mut wild = program(&[1, 1]);
        wild[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        check(wild, Linkage::Foreign);
    }
}
