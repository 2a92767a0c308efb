//! When things happened, for people to look at: events in Chrome's trace format, which Perfetto and browsers open.
//!
//! Events are written as they end, so that a long run needs no memory for them. A timeline that is off costs a look at
//! an option, and no look at the clock.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Writes down what happens, or does nothing. Copies write to the same place.
#[derive(Clone, Default)]
pub struct Timeline(Option<Arc<Log>>);

struct Log {
    start: Instant,
    /// `None` once writing has failed: what is there by then is still worth a look.
    out: Mutex<Option<Box<dyn Write + Send>>>,
}

/// Lasts as long as what it is named after.
#[must_use = "what is dropped at once has not lasted"]
pub struct During<'a>(Option<(&'a Log, Instant, &'static str, u32)>);

impl Timeline {
    /// Writes to `out`, which had best be buffered.
    pub fn to(mut out: Box<dyn Write + Send>) -> Self {
        let begun = out.write_all(b"[");
        Self(Some(Arc::new(Log { start: Instant::now(), out: Mutex::new(begun.is_ok().then_some(out)) })))
    }

    /// Something the caller does, from now until the answer is dropped; `number` says which layer, or expert.
    pub fn during(&self, name: &'static str, number: u32) -> During<'_> {
        During(self.0.as_deref().map(|log| (log, Instant::now(), name, number)))
    }

    /// Something that goes on beside others of its name has begun: a read. `id` tells them apart.
    pub fn begins(&self, name: &'static str, id: u64) {
        self.beside(name, id, 'b');
    }

    /// It is over.
    pub fn ends(&self, name: &'static str, id: u64) {
        self.beside(name, id, 'e');
    }

    fn beside(&self, name: &str, id: u64, phase: char) {
        let Some(log) = &self.0 else { return };
        let at = log.micros(Instant::now());
        log.write(&format!(
            r#"{{"name":"{name}","cat":"{name}","ph":"{phase}","id":"{id:x}","ts":{at:.1},"pid":1,"tid":2}},"#
        ));
    }
}

impl Log {
    fn micros(&self, time: Instant) -> f64 {
        time.duration_since(self.start).as_secs_f64() * 1e6
    }

    fn write(&self, event: &str) {
        let mut out = self.out();
        if let Some(open) = out.as_mut()
            && writeln!(open, "{event}").is_err()
        {
            *out = None;
        }
    }

    fn out(&self) -> MutexGuard<'_, Option<Box<dyn Write + Send>>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        let Some((log, start, name, number)) = self.0 else { return };
        let (from, to) = (log.micros(start), log.micros(Instant::now()));
        log.write(&format!(
            r#"{{"name":"{name}","ph":"X","ts":{from:.1},"dur":{:.1},"pid":1,"tid":1,"args":{{"number":{number}}}}},"#,
            to - from
        ));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(mut out) = self.out().take() {
            // The last event has no comma behind it. Nobody is left to be told of a failure.
            let name = r#"{"name":"process_name","ph":"M","pid":1,"args":{"name":"tidemill"}}]"#;
            let _ = writeln!(out, "{name}").and_then(|()| out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that several writers share.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_lasted_within_something_lies_within_it() {
        let out = Shared::default();
        let timeline = Timeline::to(Box::new(out.clone()));
        {
            let _outer = timeline.during("layer", 3);
            timeline.begins("read", 7);
            drop(timeline.during("mixer", 3));
            timeline.ends("read", 7);
        }
        drop(timeline);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(text.starts_with("[{") && text.ends_with("}]\n"), "{text}");
        let number = |line: &str, field: &str| -> f64 {
            let rest = line.split_once(field).unwrap().1;
            rest.split([',', '}']).next().unwrap().parse().unwrap()
        };
        let [read, mixer, landed, layer, _] = lines[..] else { panic!("{text}") };
        assert!(read.contains(r#""ph":"b""#) && landed.contains(r#""ph":"e""#));
        assert!(mixer.contains("mixer") && layer.contains(r#""args":{"number":3}"#));
        assert!(number(layer, r#""ts":"#) <= number(mixer, r#""ts":"#));
        let end = |line| number(line, r#""ts":"#) + number(line, r#""dur":"#);
        assert!(end(mixer) <= end(layer) + 0.2);
    }

    #[test]
    fn one_that_is_off_or_full_is_silent() {
        let off = Timeline::default();
        drop(off.during("layer", 1));
        off.begins("read", 1);
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let full = Timeline::to(Box::new(Full));
        drop(full.during("layer", 1));
    }
}
