//! Bytes across the border.

use wasmtime::{Caller, Error, Memory, Result};

use crate::exchange::Pair;
use crate::world::World;

pub(crate) fn read(caller: &mut Caller<'_, World>, at: u32, size: u32) -> Result<Vec<u8>> {
    let memory = memory(caller)?;
    let (start, size) = (usize::try_from(at)?, usize::try_from(size)?);
    let bytes = memory.data(&*caller).get(start..start + size);
    bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::msg("the filter names memory that it does not have"))
}

pub(crate) fn text(caller: &mut Caller<'_, World>, at: u32, size: u32) -> Result<String> {
    Ok(String::from_utf8(read(caller, at, size)?)?)
}

pub(crate) fn write(caller: &mut Caller<'_, World>, at: u32, bytes: &[u8]) -> Result<()> {
    let memory = memory(caller)?;
    Ok(memory.write(caller, usize::try_from(at)?, bytes)?)
}

/// Gives the filter bytes in memory that its own allocator provides, by two pointers.
pub(crate) fn give(caller: &mut Caller<'_, World>, bytes: &[u8], data: u32, size: u32) -> Result<()> {
    let length = u32::try_from(bytes.len())?;
    let at = if bytes.is_empty() { 0 } else { allocate(caller, length)? };
    write(caller, at, bytes)?;
    write(caller, data, &at.to_le_bytes())?;
    write(caller, size, &length.to_le_bytes())
}

/// Reads a serialised header map; any slip in it is the filter's.
pub(crate) fn pairs(bytes: &[u8]) -> Result<Vec<Pair>> {
    let number = |at: usize| -> Result<usize> {
        let bytes = bytes.get(at..at + 4).ok_or_else(|| Error::msg("a header map is cut off"))?;
        Ok(usize::try_from(u32::from_le_bytes(bytes.try_into()?))?)
    };
    let count = number(0)?;
    let mut at = 4 + count * 8;
    let mut part = |length: usize| -> Result<Vec<u8>> {
        let part = bytes.get(at..at + length).ok_or_else(|| Error::msg("a header map is cut off"))?;
        if bytes.get(at + length) != Some(&0) {
            return Err(Error::msg("a header map lacks a zero"));
        }
        at += length + 1;
        Ok(part.to_vec())
    };
    let mut pairs = Vec::new();
    for index in 0..count {
        pairs.push((part(number(4 + index * 8)?)?, part(number(8 + index * 8)?)?));
    }
    if at == bytes.len() { Ok(pairs) } else { Err(Error::msg("a header map has more bytes than it says")) }
}

pub(crate) fn serialised(pairs: &[Pair]) -> Vec<u8> {
    let length = |part: &Vec<u8>| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(length(part));
    }
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(part);
        bytes.push(0);
    }
    bytes
}

fn memory(caller: &mut Caller<'_, World>) -> Result<Memory> {
    let export = caller.get_export("memory").and_then(wasmtime::Extern::into_memory);
    export.ok_or_else(|| Error::msg("the filter exports no memory"))
}

fn allocate(caller: &mut Caller<'_, World>, size: u32) -> Result<u32> {
    let export = caller.get_export("malloc").and_then(wasmtime::Extern::into_func);
    let malloc = export.ok_or_else(|| Error::msg("the filter exports no malloc"))?;
    malloc.typed::<u32, u32>(&*caller)?.call(caller, size)
}
