//! Writes pcapng.
//!
//! The bytes depend on nothing but the arguments: little-endian whatever the host, no host
//! name, no kernel version, no time of writing, unless the caller passes them in.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use crate::packet::{Interface, Packet};

/// Largest packet that is announced, as Wireshark does (`WTAP_MAX_PACKET_SIZE_STANDARD`).
const SNAP_LENGTH: u32 = 262_144;

/// Longest comment written, in bytes: an option's length field has 16 bits.
const MAX_COMMENT: usize = 0xfffc;

/// What the section header says about the origin of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Hardware that captured (`shb_hardware`).
    pub hardware: Option<String>,
    /// Operating system that captured (`shb_os`).
    pub os: Option<String>,
    /// Application that wrote the file (`shb_userappl`).
    pub application: Option<String>,
}

impl Default for Section {
    /// `wpanlab`, and nothing about the host.
    fn default() -> Section {
        Section {
            hardware: None,
            os: None,
            application: Some("wpanlab".into()),
        }
    }
}

/// Why a packet could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output refused the bytes.
    #[error("cannot write the capture: {0}")]
    Io(#[source] io::Error),
    /// A packet names an interface that the file does not have.
    #[error("packet of interface {interface}: the capture has interfaces 0 to {last}", last = .interfaces.saturating_sub(1))]
    NoSuchInterface {
        /// What the packet says.
        interface: usize,
        /// How many interfaces were announced.
        interfaces: usize,
    },
}

impl WriteError {
    fn from_library(error: PcapError) -> WriteError {
        match error {
            PcapError::IoError(e) => WriteError::Io(e),
            other => WriteError::Io(io::Error::other(other)),
        }
    }
}

/// Writes a pcapng file: one section, its interfaces first, then packets.
pub struct Writer<W: Write> {
    inner: PcapNgWriter<W>,
    interfaces: usize,
}

impl<W: Write> Writer<W> {
    /// Starts a file with these interfaces; see [`Section::default`] for its header.
    ///
    /// # Errors
    /// The output refused the bytes.
    pub fn new(output: W, interfaces: &[Interface]) -> Result<Writer<W>, WriteError> {
        Writer::with_section(output, &Section::default(), interfaces)
    }

    /// Starts a file with this section header and these interfaces.
    ///
    /// # Errors
    /// The output refused the bytes.
    pub fn with_section(
        output: W,
        section: &Section,
        interfaces: &[Interface],
    ) -> Result<Writer<W>, WriteError> {
        let mut inner = PcapNgWriter::with_section_header(output, section_header(section))
            .map_err(WriteError::from_library)?;
        for interface in interfaces {
            inner
                .write_pcapng_block(interface_description(interface))
                .map_err(WriteError::from_library)?;
        }
        Ok(Writer {
            inner,
            interfaces: interfaces.len(),
        })
    }

    /// Appends a packet.
    ///
    /// A comment of more than 65,532 bytes is cut.
    ///
    /// # Errors
    /// The packet names an interface that was not announced, or the output refused the bytes.
    pub fn write(&mut self, packet: &Packet) -> Result<(), WriteError> {
        if packet.interface >= self.interfaces {
            return Err(WriteError::NoSuchInterface {
                interface: packet.interface,
                interfaces: self.interfaces,
            });
        }
        let options = packet
            .comment
            .iter()
            .map(|comment| EnhancedPacketOption::Comment(Cow::Borrowed(cut(comment, MAX_COMMENT))));
        let block = EnhancedPacketBlock {
            interface_id: packet.interface as u32, // At most `interfaces`, which were written.
            timestamp: Duration::from_nanos(packet.time.as_nanos()),
            original_len: packet.original_len,
            data: Cow::Borrowed(&packet.data),
            options: options.collect(),
        };
        self.inner
            .write_pcapng_block(block)
            .map_err(WriteError::from_library)?;
        Ok(())
    }

    /// Hands what was written so far to the operating system.
    ///
    /// # Errors
    /// The output refused the bytes.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.inner.get_mut().flush().map_err(WriteError::Io)
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// The output refused the bytes.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.flush()?;
        Ok(self.inner.into_inner())
    }
}

fn section_header(section: &Section) -> SectionHeaderBlock<'static> {
    let mut options = Vec::new();
    if let Some(hardware) = &section.hardware {
        options.push(SectionHeaderOption::Hardware(Cow::Owned(hardware.clone())));
    }
    if let Some(os) = &section.os {
        options.push(SectionHeaderOption::OS(Cow::Owned(os.clone())));
    }
    if let Some(application) = &section.application {
        options.push(SectionHeaderOption::UserApplication(Cow::Owned(
            application.clone(),
        )));
    }
    SectionHeaderBlock {
        endianness: Endianness::Little,
        options,
        ..SectionHeaderBlock::default()
    }
}

fn interface_description(interface: &Interface) -> InterfaceDescriptionBlock<'_> {
    let mut options = vec![InterfaceDescriptionOption::IfName(Cow::Borrowed(
        &interface.name,
    ))];
    if let Some(description) = &interface.description {
        options.push(InterfaceDescriptionOption::IfDescription(Cow::Borrowed(
            description,
        )));
    }
    // The library writes time stamps in nanoseconds whatever the interface announces; without
    // this option they would be read as microseconds.
    options.push(InterfaceDescriptionOption::IfTsResol(9));
    InterfaceDescriptionBlock {
        linktype: DataLink::from(u32::from(interface.link_type.0)),
        snaplen: SNAP_LENGTH,
        options,
    }
}

/// The longest start of `text` that has at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use units::SimTime;

    #[test]
    fn a_packet_of_an_interface_that_was_not_announced_is_refused() {
        let mut writer =
            Writer::new(Vec::new(), &[Interface::new("a", LinkType::ETHERNET)]).unwrap();
        let error = writer
            .write(&Packet::new(1, SimTime::ZERO, vec![0]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "packet of interface 1: the capture has interfaces 0 to 0"
        );
    }

    #[test]
    fn a_long_comment_is_cut_between_characters() {
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(cut("a", 9), "a");
    }

    #[test]
    fn two_files_of_the_same_packets_have_the_same_bytes() {
        let file = || {
            let mut w =
                Writer::new(Vec::new(), &[Interface::new("a", LinkType::ETHERNET)]).unwrap();
            w.write(&Packet::new(0, SimTime::from_nanos(7), vec![1, 2, 3]))
                .unwrap();
            w.finish().unwrap()
        };
        assert_eq!(file(), file());
    }
}
