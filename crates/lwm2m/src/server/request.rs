//! Operations as CoAP messages, and answers as outcomes (LwM2M 1.1 Transport §6.4.3, table 6.4.3-1).

use coap::message::option;
use coap::{Code, Request, Response};

use super::config::{Config, ReadFormat};
use super::operation::{Content, Operation, Outcome};
use super::registration::Description;
use crate::format::{self, EncodeError, Format, Record};
use crate::model::{Registry, Version};
use crate::operations::Mode;
use crate::path::Path;

/// A message of an operation: all but a composite one that is done in parts have one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) request: Request,
    /// Of what it is.
    pub(super) base: Path,
    /// Whether it is to be sent with Observe 0.
    pub(super) observe: bool,
}

/// Makes the messages of operations for one client.
pub(super) struct Maker<'a> {
    pub(super) config: &'a Config,
    pub(super) client: &'a Description,
}

impl Maker<'_> {
    /// The message of an operation; none of [`Operation::CancelObservation`], which has that of what it ends.
    pub(super) fn step(&self, operation: &Operation) -> Result<Option<Step>, EncodeError> {
        let step = match operation {
            Operation::Read { path, format } => self.read(path, *format, false),
            Operation::Observe { path, format } => self.read(path, *format, true),
            Operation::Discover { path } => {
                let mut step = self.plain(Code::GET, path);
                accept(&mut step.request, Format::Link);
                step
            }
            Operation::Write {
                path,
                mode,
                records,
                format,
            } => self.write(path, *mode, records, *format)?,
            Operation::WriteAttributes { path, attributes } => {
                let mut step = self.plain(Code::PUT, path);
                for attribute in attributes {
                    (step.request.options).push(option::URI_QUERY, attribute.as_bytes());
                }
                step
            }
            Operation::Execute { path, arguments } => {
                let mut step = self.plain(Code::POST, path);
                if !arguments.is_empty() {
                    content(
                        &mut step.request,
                        Format::Text,
                        arguments.clone().into_bytes(),
                    );
                }
                step
            }
            Operation::Create { creation, format } => {
                // Resources of an instance without a name, and a name without resources: TLV has both.
                let only_half = creation.instance.is_none() != creation.records.is_empty();
                let format = match format {
                    None if only_half => Format::Tlv,
                    format => self.write_format(*format),
                };
                let payload = format::encode_create(format, creation, self.config.style)?;
                let mut step = self.plain(Code::POST, &Path::object(creation.object));
                content(&mut step.request, format, payload);
                step
            }
            Operation::Delete { path } => self.plain(Code::DELETE, path),
            Operation::ReadComposite { paths, format } => {
                self.read_composite(paths, *format, false)?
            }
            Operation::ObserveComposite { paths, format } => {
                self.read_composite(paths, *format, true)?
            }
            Operation::WriteComposite { records, format } => {
                let format = self.composite_format(*format, self.config.write_format);
                let payload = format::encode(format, &Path::ROOT, records, self.config.style)?;
                let mut step = self.plain(Code::IPATCH, &Path::ROOT);
                content(&mut step.request, format, payload);
                step
            }
            Operation::CancelObservation { .. } => return Ok(None),
        };
        Ok(Some(step))
    }

    /// The messages of a composite operation for a client that does not know it.
    pub(super) fn parts(&self, operation: &Operation) -> Result<Vec<Step>, EncodeError> {
        match operation {
            Operation::ReadComposite { paths, .. } => Ok((paths.iter())
                .map(|path| self.read(path, None, false))
                .collect()),
            Operation::ObserveComposite { paths, .. } => Ok((paths.iter())
                .map(|path| self.read(path, None, true))
                .collect()),
            Operation::WriteComposite { records, .. } => (records.iter())
                .map(|record| {
                    let one = std::slice::from_ref(record);
                    self.write(&record.path, Mode::Replace, one, None)
                })
                .collect(),
            other => Ok(self.step(other)?.into_iter().collect()),
        }
    }

    fn plain(&self, method: Code, path: &Path) -> Step {
        let root = &self.client.root;
        Step {
            request: Request::new(method, &format!("{root}{path}")),
            base: *path,
            observe: false,
        }
    }

    fn read(&self, path: &Path, format: Option<Format>, observe: bool) -> Step {
        let mut step = self.plain(Code::GET, path);
        let format = format.or(match self.config.read_format {
            ReadFormat::ByVersion => Some(self.default_format()),
            ReadFormat::Always(format) => Some(format),
            ReadFormat::Unsaid => None,
        });
        if let Some(format) = format {
            accept(&mut step.request, format);
        }
        Step { observe, ..step }
    }

    fn write(
        &self,
        path: &Path,
        mode: Mode,
        records: &[Record],
        format: Option<Format>,
    ) -> Result<Step, EncodeError> {
        let method = match mode {
            Mode::Replace => Code::PUT,
            Mode::Update => Code::POST,
        };
        let format = self.write_format(format);
        let payload = format::encode(format, path, records, self.config.style)?;
        let mut step = self.plain(method, path);
        content(&mut step.request, format, payload);
        Ok(step)
    }

    fn read_composite(
        &self,
        paths: &[Path],
        format: Option<Format>,
        observe: bool,
    ) -> Result<Step, EncodeError> {
        let wanted = match self.config.read_format {
            ReadFormat::Always(format) => Some(format),
            ReadFormat::ByVersion | ReadFormat::Unsaid => None,
        };
        let format = self.composite_format(format, wanted);
        let payload = format::encode_paths(format, paths)?;
        let mut step = self.plain(Code::FETCH, &Path::ROOT);
        content(&mut step.request, format, payload);
        accept(&mut step.request, format);
        Ok(Step { observe, ..step })
    }

    fn write_format(&self, format: Option<Format>) -> Format {
        let wanted = format.or(self.config.write_format);
        wanted.unwrap_or_else(|| self.default_format())
    }

    /// Composite operations have formats with names only (LwM2M 1.1 Core §7.4.1).
    fn composite_format(&self, format: Option<Format>, wanted: Option<Format>) -> Format {
        let names = |format: &Format| {
            matches!(
                format,
                Format::SenmlJson | Format::SenmlCbor | Format::Lwm2mCbor
            )
        };
        let listed = || self.listed(&[Format::SenmlCbor, Format::SenmlJson]);
        let format = format.or(wanted.filter(names)).or_else(listed);
        format.unwrap_or(Format::SenmlCbor)
    }

    fn default_format(&self) -> Format {
        if self.client.version < Version::V1_1 {
            return Format::Tlv;
        }
        let listed = self.listed(&[Format::SenmlCbor, Format::SenmlJson, Format::Tlv]);
        listed.unwrap_or(Format::SenmlCbor)
    }

    /// The first of these that the client's registration lists.
    fn listed(&self, formats: &[Format]) -> Option<Format> {
        let listed = |format: &&Format| self.client.formats.contains(&format.number());
        formats.iter().find(listed).copied()
    }
}

fn accept(request: &mut Request, format: Format) {
    (request.options).push_uint(option::ACCEPT, u64::from(format.number()));
}

fn content(request: &mut Request, format: Format, payload: Vec<u8>) {
    (request.options).push_uint(option::CONTENT_FORMAT, u64::from(format.number()));
    request.payload = payload;
}

/// What a payload says of `base`.
pub(super) fn read(
    format: Option<u16>,
    payload: Vec<u8>,
    base: &Path,
    registry: &Registry,
) -> Content {
    let known = match format {
        // Without a Content-Format it is a text (LwM2M 1.0 §6.4).
        None => Ok(Format::Text),
        Some(number) => Format::of_number(number)
            .ok_or_else(|| format!("Content-Format {number}: expected one of LwM2M")),
    };
    let records = known.and_then(|known| match known {
        Format::Link => Ok(Vec::new()),
        known => format::decode(known, base, &payload, registry).map_err(|e| e.to_string()),
    });
    Content {
        format,
        payload,
        records,
    }
}

/// The Content-Format of options, if it is one at all.
pub(super) fn format_of(options: &coap::Options) -> Option<u16> {
    let number = options.get_uint(option::CONTENT_FORMAT)?;
    u16::try_from(number).ok()
}

/// What an answer says.
pub(super) fn outcome(response: Response, base: &Path, registry: &Registry) -> Outcome {
    match response.code {
        Code::CONTENT => {
            let format = format_of(&response.options);
            Outcome::Content(read(format, response.payload, base, registry))
        }
        Code::CREATED => {
            let segments = response.options.get_all(option::LOCATION_PATH);
            let id = segments.last().and_then(|id| std::str::from_utf8(id).ok());
            Outcome::Created(id.and_then(|id| id.parse().ok()))
        }
        code if code.is_success() => Outcome::Success(code),
        code => Outcome::Refused {
            code,
            diagnostic: String::from_utf8_lossy(&response.payload).into_owned(),
        },
    }
}
