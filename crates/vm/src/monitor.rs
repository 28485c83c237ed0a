//! QEMU's monitor (QMP, QEMU `docs/interop/qmp-spec.txt`): a line of JSON each way.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

/// A connection, greeting and negotiation behind it.
pub(crate) struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Takes the connection up with a QEMU that has its other end. `patience` is how long to wait
    /// for each answer and event.
    pub(crate) fn open(stream: UnixStream, patience: Duration) -> io::Result<Monitor> {
        stream.set_read_timeout(Some(patience))?;
        let mut monitor = Monitor {
            stream: BufReader::new(stream),
        };
        monitor.line()?; // the greeting
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Carries out a command: its return value.
    ///
    /// # Errors
    /// QEMU's word if it refuses; the connection's end if QEMU died.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.stream
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let words = error["desc"].as_str().unwrap_or("no reason given");
                return Err(io::Error::other(format!("{command}: {words}")));
            }
            // Everything else is an event that nobody waits for.
        }
    }

    /// Waits for an event.
    pub(crate) fn wait_for(&mut self, event: &str) -> io::Result<()> {
        while self.line()?["event"] != event {}
        Ok(())
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
