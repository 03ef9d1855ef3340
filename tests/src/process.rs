//! What processes use, by the kernel's account (Linux).

use std::fs;

/// The kernel's unit of time in `/proc/…/stat`: a hundred a second on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds, user and system, of a process and its living descendants.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let ticks = |pid: &u32| stat(*pid).map_or(0, |stat| stat.cpu_ticks);
    family(pid).iter().map(ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// Resident bytes of a process and its living descendants. A page that they share counts
/// once: it is the sum of their proportional shares.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let share = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.trim().parse().ok());
        kib.unwrap_or(0) << 10
    };
    family(pid).iter().map(share).sum::<u64>()
}

/// The most resident bytes that a process had so far.
#[must_use]
pub fn peak_resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
    kib.unwrap_or(0) << 10
}

/// Bytes of the kernel's own objects (sockets among them), of the whole machine.
#[must_use]
pub fn kernel_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
    kib.unwrap_or(0) << 10
}

struct Stat {
    parent: u32,
    cpu_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything.
    let fields: Vec<&str> = line.rsplit(')').next()?.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(field(1)?).ok()?, cpu_ticks: field(11)? + field(12)? })
}

/// The process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let all: Vec<(u32, u32)> =
        names.filter_map(|name| name.to_str()?.parse().ok()).filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_accounted() {
        let this = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(family(this).contains(&child.id()) && family(child.id()) == [child.id()]);
        assert!(resident_bytes(this) > resident_bytes(child.id()) && resident_bytes(child.id()) > 0);
        assert!(peak_resident_bytes(child.id()) > 0 && peak_resident_bytes(this) > peak_resident_bytes(child.id()));
        let before = cpu_seconds(this);
        while cpu_seconds(this) < before + 0.05 {
            std::hint::black_box([1_u8; 1 << 16]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(kernel_bytes() > 0);
    }
}
