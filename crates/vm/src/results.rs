//! The results on their way out: a `newc` cpio stream whose trailer proves it complete.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use cpio::newc::{self, ModeFileType};

/// The first entry: the guest's exit code in decimal.
const EXIT_CODE: &str = ".exit-code";

/// Writes the exit code and every regular file under a directory, in the order of their
/// paths.
pub(crate) fn write(directory: &Path, exit_code: i32, mut out: impl Write) -> io::Result<()> {
    let entry = |name: &str| {
        newc::Builder::new(name)
            .mode(0o644)
            .set_mode_file_type(ModeFileType::Regular)
    };
    let code = exit_code.to_string();
    let mut writer = entry(EXIT_CODE).write(&mut out, code.len() as u32);
    writer.write_all(code.as_bytes())?;
    writer.finish()?;
    for name in list(directory)? {
        let file = std::fs::File::open(directory.join(&name))?;
        let size = u32::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::other(format!("{name}: 4 GiB or more")))?;
        let mut writer = entry(&name).write(&mut out, size);
        // A file that is still growing is cut where it stood.
        io::copy(&mut file.take(size.into()), &mut writer)?;
        writer.finish()?;
    }
    newc::trailer(&mut out)?;
    out.flush()
}

fn list(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(prefix) = pending.pop() {
        for entry in std::fs::read_dir(directory.join(&prefix))? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| {
                io::Error::other(format!("result {name:?}: its name is not UTF-8"))
            })?;
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(path + "/");
            } else if kind.is_file() {
                names.push(path);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Reads such a stream.
///
/// # Errors
/// Says in words what is missing: the guest died on its way, or wrote something else.
pub(crate) fn read(mut stream: &[u8]) -> Result<(i32, BTreeMap<String, Vec<u8>>), String> {
    let mut files = BTreeMap::new();
    if stream.is_empty() {
        return Err("there are none".into());
    }
    loop {
        let mut reader = newc::Reader::new(stream)
            .map_err(|e| format!("they break off after {} files: {e}", files.len()))?;
        if reader.entry().is_trailer() {
            break;
        }
        let name = reader.entry().name().to_string();
        if !is_plain(&name) {
            return Err(format!("`{name}` is not a path inside the results"));
        }
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(|e| format!("`{name}`: {e}"))?;
        if content.len() != reader.entry().file_size() as usize {
            return Err(format!("they break off inside `{name}`"));
        }
        stream = reader.finish().map_err(|e| format!("`{name}`: {e}"))?;
        files.insert(name, content);
    }
    let code = files
        .remove(EXIT_CODE)
        .and_then(|code| String::from_utf8(code).ok()?.parse().ok())
        .ok_or("they hold no exit code")?;
    Ok((code, files))
}

fn is_plain(name: &str) -> bool {
    !name.split('/').any(|part| matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("log")).unwrap();
        std::fs::write(at("log/node.log"), "up\n").unwrap();
        std::fs::write(at("result.json"), "{}").unwrap();
        std::fs::write(at("empty"), "").unwrap();
        let mut stream = Vec::new();
        write(directory.path(), 3, &mut stream).unwrap();
        stream
    }

    #[test]
    fn files_and_exit_code_arrive_as_they_were_written() {
        let (code, files) = read(&example()).unwrap();
        assert_eq!(code, 3);
        let files: Vec<_> = files
            .iter()
            .map(|(n, c)| (n.as_str(), c.as_slice()))
            .collect();
        assert_eq!(
            files,
            [
                ("empty", b"".as_slice()),
                ("log/node.log", b"up\n"),
                ("result.json", b"{}"),
            ]
        );
    }

    #[test]
    fn a_stream_cut_anywhere_is_not_complete() {
        let stream = example();
        // The trailer entry is the last 124 bytes (110 of header, its name, padding).
        let end = stream
            .windows(10)
            .rposition(|w| w == b"TRAILER!!!")
            .unwrap()
            + 10;
        for length in 0..end {
            assert!(read(&stream[..length]).is_err(), "{length} of {end} bytes");
        }
    }

    #[test]
    fn a_name_that_climbs_out_is_refused() {
        let mut stream = newc::Builder::new("../evil")
            .write(Vec::new(), 0)
            .finish()
            .unwrap();
        stream = newc::trailer(stream).unwrap();
        assert!(read(&stream).unwrap_err().contains("../evil"));
    }
}
