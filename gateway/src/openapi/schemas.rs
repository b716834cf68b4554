//! Messages as JSON schemas. What is sent is closed: a field that there is not is refused. What is answered is open, since
//! fields may be added; all that has no presence of its own is always there.

use std::collections::BTreeMap;

use anyhow::ensure;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Sent,
    Answered,
}

/// The schemas of all messages that were asked for, and of those in them.
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    /// By name, with the message or enum that it is of.
    made: BTreeMap<String, (String, Value)>,
    clash: Option<String>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Self {
        Self {
            comments,
            made: BTreeMap::new(),
            clash: None,
        }
    }

    /// All of them by name.
    pub(super) fn finish(self) -> anyhow::Result<Map<String, Value>> {
        ensure!(
            self.clash.is_none(),
            "two messages are called {}",
            self.clash.unwrap_or_default()
        );
        Ok(self
            .made
            .into_iter()
            .map(|(name, (_, schema))| (name, schema))
            .collect())
    }

    /// A reference to a message's schema, without the fields `bound`, which stand elsewhere.
    pub(super) fn message(&mut self, message: &MessageDescriptor, way: Way, bound: &[&str]) -> Value {
        let mut name = local_name(message.full_name(), message.package_name());
        if way == Way::Sent && !name.ends_with("Request") {
            name.push_str("Input");
        }
        if self.is_new(&name, message.full_name()) {
            let schema = self.object(message, way, bound);
            self.made.insert(name.clone(), (message.full_name().to_owned(), schema));
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// Makes a place for what is being made, for messages that hold themselves.
    fn is_new(&mut self, name: &str, full_name: &str) -> bool {
        if let Some((of, _)) = self.made.get(name) {
            if of != full_name {
                self.clash = Some(name.to_owned());
            }
            return false;
        }
        self.made.insert(name.to_owned(), (full_name.to_owned(), Value::Null));
        true
    }

    fn object(&mut self, message: &MessageDescriptor, way: Way, bound: &[&str]) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in message.fields().filter(|field| !bound.contains(&field.name())) {
            let is_needed = match way {
                Way::Sent => is_required(self.comment(&field)),
                Way::Answered => field.is_list() || field.is_map() || !field.supports_presence(),
            };
            if is_needed {
                required.push(field.name().to_owned());
            }
            properties.insert(field.name().to_owned(), self.field(&field, way));
        }
        let mut schema = json!({
            "type": "object",
            "description": self.comments.at(&message.parent_file(), message.path()),
            "properties": properties,
        });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if way == Way::Sent {
            schema["additionalProperties"] = false.into();
        }
        for oneof in message.oneofs().filter(|oneof| oneof.fields().len() > 1) {
            // One at most, none while there are members that the reader does not know yet.
            let others: Vec<_> = oneof
                .fields()
                .map(|field| json!({"required": [field.name()]}))
                .collect();
            schema["oneOf"] = others.into();
        }
        schema
    }

    /// A field's schema with its description.
    pub(super) fn field(&mut self, field: &FieldDescriptor, way: Way) -> Value {
        let comment = self.comment(field).to_owned();
        let mut schema = if field.is_map() {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        } else {
            let one = self.one(field, way, &comment);
            if field.cardinality() == Cardinality::Repeated {
                json!({"type": "array", "items": one})
            } else {
                one
            }
        };
        if way == Way::Sent && is_required(&comment) && schema["type"] == "string" && schema.get("format").is_none() {
            schema["minLength"] = 1.into();
        }
        schema["description"] = comment.into();
        schema
    }

    /// The comment before a field.
    pub(super) fn comment(&self, field: &FieldDescriptor) -> &'a str {
        self.comments.at(&field.parent_message().parent_file(), field.path())
    }

    fn one(&mut self, field: &FieldDescriptor, way: Way, comment: &str) -> Value {
        match field.kind() {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX})
            }
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            // JSON's numbers are not that long for everyone.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if way == Way::Answered => {
                json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"})
            }
            Kind::Uint64 | Kind::Fixed64 if way == Way::Answered => json!({"type": "string", "pattern": "^[0-9]+$"}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({"type": ["integer", "string"], "format": "int64", "pattern": "^-?[0-9]+$"})
            }
            Kind::Uint64 | Kind::Fixed64 => json!({"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+$"}),
            Kind::Enum(kind) => self.enumeration(&kind),
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
                "google.protobuf.FieldMask" => json!({"type": "string", "examples": ["title,status"]}),
                _ => self.message(&message, way, &[]),
            },
            Kind::String | Kind::Bytes if way == Way::Sent && is_uuid(comment) && is_required(comment) => {
                json!({"type": "string", "format": "uuid"})
            }
            // The empty text is what is not there.
            Kind::String | Kind::Bytes if way == Way::Sent && is_uuid(comment) => {
                json!({"type": "string", "pattern": "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$"})
            }
            Kind::String | Kind::Bytes => json!({"type": "string"}),
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> Value {
        let name = local_name(kind.full_name(), kind.package_name());
        if self.is_new(&name, kind.full_name()) {
            let file = kind.parent_file();
            let mut description = self.comments.at(&file, kind.path()).to_owned();
            let mut names = Vec::new();
            for value in kind.values() {
                let comment = self.comments.at(&file, value.path());
                description = format!("{description}\n- `{}`: {comment}", value.name());
                names.push(value.name().to_owned());
            }
            let schema = json!({"type": "string", "description": description, "enum": names});
            self.made.insert(name.clone(), (kind.full_name().to_owned(), schema));
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// A name without its package.
fn local_name(full_name: &str, package: &str) -> String {
    full_name
        .strip_prefix(package)
        .unwrap_or(full_name)
        .trim_start_matches('.')
        .to_owned()
}

/// Whether a comment says that its field is needed.
pub(super) fn is_required(comment: &str) -> bool {
    comment.starts_with("Required")
}

/// Whether a comment says that its field is an id and nothing else.
fn is_uuid(comment: &str) -> bool {
    let rest = comment
        .trim_start_matches("Required. ")
        .trim_start_matches("Optional. ");
    rest.starts_with("A UUID of the caller's choice") || (rest.starts_with("The ") && rest.ends_with("'s UUID."))
}
