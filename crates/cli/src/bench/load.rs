//! A busy machine: processes that compute while something is measured.

use std::{
    io::{self, Read},
    process::{Child, Command, ExitCode, Stdio},
    thread,
};

/// Computing processes, which are killed when this value is dropped.
#[derive(Debug)]
pub struct Load {
    processes: Vec<Child>,
}

impl Load {
    /// Starts `each` processes per core, at this process's priority. Each runs this program with
    /// `arguments`, which must call [`compute`].
    ///
    /// # Errors
    /// Returns an error if the system cannot start a process.
    pub fn start(each: u32, arguments: &[&str]) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut load = Self { processes: Vec::new() };
        for _ in 0..cores * each as usize {
            let mut command = Command::new(std::env::current_exe()?);
            // The pipe is closed when this process ends, however it ends, and the children see
            // that.
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
            load.processes.push(command.spawn()?);
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // A process that has ended already cannot be killed.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Keeps a core busy until standard input ends.
#[must_use]
pub fn compute() -> ExitCode {
    let parent = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    let mut number = 1_u64;
    while !parent.is_finished() {
        for _ in 0..100_000 {
            number = core::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005) ^ 1);
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn processes_end_with_the_load() {
        // The test program lists its tests and ends.
        let mut load = Load::start(1, &["--list"]).unwrap();
        assert_eq!(load.processes.len(), std::thread::available_parallelism().unwrap().get());
        for process in &mut load.processes {
            assert!(process.wait().unwrap().success());
        }
    }
}
