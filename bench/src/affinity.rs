//! Who runs on which processors.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use figures::cpu;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tests::platform::Platform;

/// This process, and what it starts from now on, on the last of its processors; the platform on the others. Until this is
/// dropped.
pub(crate) struct Apart<'a> {
    platform: &'a Platform,
    all: CpuSet,
}

impl<'a> Apart<'a> {
    pub(crate) fn begin(platform: &'a Platform) -> Result<Self> {
        let all = sched_getaffinity(None).context("which processors there are")?;
        let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        let (last, others) = processors.split_last().context("there is a processor")?;
        ensure!(!others.is_empty(), "a load generator with a processor of its own takes two processors");
        let apart = Self { platform, all };
        let mut own = CpuSet::new();
        own.set(*last);
        let mut rest = CpuSet::new();
        others.iter().for_each(|cpu| rest.set(*cpu));
        apart.set(&own, &rest)?;
        Ok(apart)
    }

    fn set(&self, own: &CpuSet, rest: &CpuSet) -> Result<()> {
        set(std::process::id(), own)?;
        for root in roots(self.platform) {
            cpu::tree(root)?.into_iter().try_for_each(|pid| set(pid, rest))?;
        }
        Ok(())
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.set(&self.all, &self.all) {
            eprintln!("the processors can't be given back: {error:#}");
        }
    }
}

fn roots(platform: &Platform) -> impl Iterator<Item = u32> {
    let stack = &platform.stack;
    let services = [platform.orders.pid(), platform.inventory.pid()];
    services.into_iter().chain([stack.postgres.pid(), stack.kafka.pid(), stack.traces.pid()]).flatten()
}

/// All threads of a process; those that it starts later inherit it. One that ends meanwhile needs nothing.
fn set(process: u32, cpus: &CpuSet) -> Result<()> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Ok(()) };
    for thread in threads.flatten() {
        let id = thread.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        match sched_setaffinity(Some(id.context("a thread has a number")?), cpus) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("processors of process {process}")),
        }
    }
    Ok(())
}
