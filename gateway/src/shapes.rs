//! What requests may hold, as tables of Lua for `deploy/envoy/strict_json.lua`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::bindings::{self, Binding, Body, Segment};

/// The check itself.
const STRICT_JSON: &str = include_str!("../../deploy/envoy/strict_json.lua");

/// The check with its tables.
///
/// # Errors
/// Where the contracts hold something that JSON requests cannot be checked for.
pub fn lua() -> anyhow::Result<String> {
    let pool = bindings::pool()?;
    let bindings = bindings::all(&pool)?;
    Ok(format!("{}{STRICT_JSON}", tables(&bindings)?))
}

fn tables(bindings: &[Binding]) -> anyhow::Result<String> {
    let mut tables = Tables::default();
    let mut lines = String::new();
    for binding in bindings {
        let mut segments = Vec::new();
        for segment in &binding.segments {
            segments.push(match segment {
                Segment::Text(text) => quote(text),
                // Any value.
                Segment::Field(_) => "false".to_owned(),
            });
        }
        let (shape, bound) = match binding.body_message() {
            None => ("false".to_owned(), Vec::new()),
            Some((message, place)) => {
                let bound = binding
                    .bound()
                    .filter_map(|field| inside(field, place))
                    .map(quote)
                    .collect();
                let shape = quote(message.full_name());
                tables.add(&message)?;
                (shape, bound)
            }
        };
        let (query, elsewhere) = match &binding.body {
            Body::Whole => ("false".to_owned(), Vec::new()),
            body => {
                tables.add(&binding.rpc.input())?;
                let in_body = if let Body::Field(field) = body {
                    Some(field.as_str())
                } else {
                    None
                };
                let elsewhere: Vec<_> = binding
                    .bound()
                    .chain(in_body)
                    .map(|field| format!("[{}]=true", quote(field)))
                    .collect();
                (quote(binding.rpc.input().full_name()), elsewhere)
            }
        };
        let place = binding.body_message().map_or("", |(_, place)| place).to_owned();
        let bound: Vec<_> = bound.iter().map(|field: &String| format!("[{field}]=true")).collect();
        writeln!(
            lines,
            "  {{method={}, segments={{{}}}, verb={}, shape={shape}, place={}, bound={{{}}}, query={query}, elsewhere={{{}}}}},",
            quote(binding.method),
            segments.join(", "),
            quote(&binding.verb),
            quote(&place),
            bound.join(", "),
            elsewhere.join(", "),
        )?;
    }
    Ok(format!(
        "-- Written by `gateway` from the contracts.\nlocal MESSAGES = {{\n{}}}\nlocal ENUMS = {{\n{}}}\nlocal BINDINGS = \
         {{\n{lines}}}\n",
        tables.messages.values().map(String::as_str).collect::<String>(),
        tables.enums.values().map(String::as_str).collect::<String>(),
    ))
}

/// The field's name inside `place`, where the path's value is of a field there.
fn inside<'a>(field: &'a str, place: &str) -> Option<&'a str> {
    if place.is_empty() {
        Some(field)
    } else {
        field.strip_prefix(place)?.strip_prefix('.')
    }
}

#[derive(Default)]
struct Tables {
    messages: BTreeMap<String, String>,
    enums: BTreeMap<String, String>,
}

impl Tables {
    fn add(&mut self, message: &MessageDescriptor) -> anyhow::Result<()> {
        if self.messages.contains_key(message.full_name()) {
            return Ok(());
        }
        self.messages.insert(message.full_name().to_owned(), String::new());
        let mut line = format!("  [{}] = {{", quote(message.full_name()));
        for field in message.fields() {
            let kind = self.kind(&field)?;
            let entry = format!(
                "{{name={}, kind={kind}, list={}}}",
                quote(field.name()),
                field.is_list()
            );
            write!(line, "[{}]={entry}, ", quote(field.name()))?;
            if field.json_name() != field.name() {
                write!(line, "[{}]={entry}, ", quote(field.json_name()))?;
            }
        }
        line.push_str("},\n");
        self.messages.insert(message.full_name().to_owned(), line);
        Ok(())
    }

    /// A kind's name, or the message or enum that it is.
    fn kind(&mut self, field: &FieldDescriptor) -> anyhow::Result<String> {
        anyhow::ensure!(
            !field.is_map(),
            "{}: maps in requests are not checked",
            field.full_name()
        );
        Ok(match field.kind() {
            Kind::String | Kind::Bytes => "'string'".to_owned(),
            Kind::Bool => "'bool'".to_owned(),
            Kind::Double | Kind::Float => "'number'".to_owned(),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "'int32'".to_owned(),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "'int64'".to_owned(),
            Kind::Uint32 | Kind::Fixed32 => "'uint32'".to_owned(),
            Kind::Uint64 | Kind::Fixed64 => "'uint64'".to_owned(),
            Kind::Enum(kind) => {
                self.add_enum(&kind);
                format!("{{enum={}}}", quote(kind.full_name()))
            }
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => "'timestamp'".to_owned(),
                "google.protobuf.FieldMask" => "'string'".to_owned(),
                name => {
                    anyhow::ensure!(
                        !name.starts_with("google."),
                        "{}: {name} is not checked",
                        field.full_name()
                    );
                    self.add(&message)?;
                    format!("{{message={}}}", quote(name))
                }
            },
        })
    }

    fn add_enum(&mut self, kind: &EnumDescriptor) {
        let values: Vec<_> = kind
            .values()
            .map(|value| format!("[{}]=true", quote(value.name())))
            .collect();
        let line = format!("  [{}] = {{{}}},\n", quote(kind.full_name()), values.join(", "));
        self.enums.insert(kind.full_name().to_owned(), line);
    }
}

/// A text of Lua; names of protobuf need no escapes.
fn quote(name: &str) -> String {
    format!("'{name}'")
}
