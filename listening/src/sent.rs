//! What a client sends, read along: HTTP/2 frames, and in them messages of whatever kind.

use std::collections::HashMap;

use crate::hear_of;

/// Hears of every text in a message, of whatever kind it is: fields that are text, and those of messages within.
fn read_message(mut message: &[u8]) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => drop(varint(&mut message)?),
            1 => message = message.get(8..)?,
            5 => message = message.get(4..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let field = message.get(..length)?;
                message = &message[length..];
                if let Ok(text) = std::str::from_utf8(field)
                    && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
                {
                    hear_of(text);
                }
                let _ = read_message(field);
            }
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// What a client has sent: HTTP/2 frames, and in them messages with their lengths.
#[derive(Default)]
pub(crate) struct Sent {
    bytes: Vec<u8>,
    preface_over: bool,
    bodies: HashMap<u32, Vec<u8>>,
}

impl Sent {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        const PREFACE: usize = 24;
        const DATA: u8 = 0;
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        if !self.preface_over {
            if self.bytes.len() < PREFACE {
                return;
            }
            self.preface_over = true;
            at = PREFACE;
        }
        while let Some(&[a, b, c, kind, _, d, e, f, g]) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<9>())
        {
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
            let Some(payload) = self.bytes.get(at + 9..at + 9 + length) else {
                break;
            };
            if kind == DATA {
                let body = self.bodies.entry(u32::from_be_bytes([d, e, f, g])).or_default();
                body.extend_from_slice(payload);
                while let Some(&[_, a, b, c, d]) = body.first_chunk::<5>() {
                    let end = 5 + usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
                    if body.len() < end {
                        break;
                    }
                    let _ = read_message(&body[5..end]);
                    body.drain(..end);
                }
            }
            at += 9 + length;
        }
        self.bytes.drain(..at);
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::find;

    #[test]
    fn what_is_in_a_request_is_heard_of_and_found() {
        let title = "heard of by the ear alone: Ω";
        let new = deskhand_proto::tickets::v1::UpdateTicketRequest {
            ticket: Some(deskhand_proto::tickets::v1::Ticket {
                id: uuid::Uuid::now_v7().to_string(),
                title: title.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let message = new.encode_to_vec();
        let framed = [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // Settings, then the message in two frames of one stream.
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        for part in framed.chunks(framed.len().div_ceil(2)) {
            bytes.extend([0, 0, u8::try_from(part.len()).unwrap(), 0, 0, 0, 0, 0, 1]);
            bytes.extend(part);
        }
        let mut sent = Sent::default();
        for piece in bytes.chunks(7) {
            sent.take(piece);
        }
        assert_eq!(find(format!("title={title:?} ").as_bytes()).as_deref(), Some(title));
        assert_eq!(find(new.ticket.unwrap().id.as_bytes()), None, "ids may be told");
        assert_eq!(find(b"nothing of it"), None);
        assert!(find(b"key=gsk_test").is_some() && find(b"a eyJhbGciOiJFZERTQSJ9").is_some());
    }
}
