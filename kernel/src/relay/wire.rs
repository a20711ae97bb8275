//! Jupyter messages as they travel: frames, signature, headers.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeromq::ZmqMessage;

/// Version of the protocol.
pub const PROTOCOL: &str = "5.3";
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// The connection's key.
#[derive(Clone)]
pub struct Key(Option<Hmac<Sha256>>);

impl Key {
    /// The key with this text; if it is empty, messages are not signed.
    pub fn new(key: &str) -> Result<Key> {
        if key.is_empty() {
            return Ok(Key(None));
        }
        Ok(Key(Some(Hmac::new_from_slice(key.as_bytes()).context("the connection's key cannot be used")?)))
    }

    fn sign(&self, parts: &[Bytes]) -> String {
        let Some(mac) = &self.0 else { return String::new() };
        let mut mac = mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        hex::encode(mac.finalize().into_bytes())
    }

    fn verify(&self, parts: &[Bytes], signature: &[u8]) -> Result<()> {
        let Some(mac) = &self.0 else { return Ok(()) };
        let mut mac = mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.verify_slice(&hex::decode(signature).context("the signature is not hexadecimal")?)
            .context("the signature is wrong")
    }
}

/// A message and the client that it comes from or goes to.
/// The sockets that requests come in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Shell,
    Control,
    Stdin,
}

#[derive(Debug, Clone)]
pub struct Message {
    /// Routing frames of a client.
    pub identities: Vec<Bytes>,
    /// `msg_id`, `msg_type`, `session` …
    pub header: Value,
    /// Header of the request that the message belongs to.
    pub parent: Value,
    /// Data beside the content.
    pub metadata: Value,
    /// The fields of its type.
    pub content: Value,
}

impl Message {
    /// The message in these frames, or an error if its signature is wrong.
    pub fn read(frames: ZmqMessage, key: &Key) -> Result<Message> {
        let mut identities = frames.into_vec();
        let Some(at) = identities.iter().position(|frame| &frame[..] == DELIMITER) else {
            bail!("the message has no delimiter");
        };
        let rest = identities.split_off(at);
        let [_, signature, parts @ ..] = &rest[..] else { bail!("the message has no signature") };
        if parts.len() < 4 {
            bail!("the message has {} parts instead of 4", parts.len());
        }
        key.verify(parts, signature)?;
        let parse = |index: usize| serde_json::from_slice(&parts[index]).context("a part is not JSON");
        Ok(Message { identities, header: parse(0)?, parent: parse(1)?, metadata: parse(2)?, content: parse(3)? })
    }

    /// The frames of this message, signed.
    pub fn frames(&self, key: &Key) -> ZmqMessage {
        let json = |value: &Value| Bytes::from(value.to_string());
        let parts: Vec<Bytes> = [&self.header, &self.parent, &self.metadata, &self.content].map(json).into();
        let signature = Bytes::from(key.sign(&parts));
        let mut frames = self.identities.clone();
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(signature);
        frames.extend(parts);
        let mut frames = frames.into_iter();
        let mut message = ZmqMessage::from(frames.next().unwrap_or_default());
        frames.for_each(|frame| message.push_back(frame));
        message
    }

    /// A new message of the kernel on behalf of `parent`'s request.
    pub fn new(kind: &str, session: &str, parent: Value, content: Value) -> Message {
        let header = json!({
            "msg_id": uuid::Uuid::new_v4().to_string(), "msg_type": kind, "session": session, "username": "kernel",
            "date": timestamp(SystemTime::now()), "version": PROTOCOL,
        });
        Message { identities: Vec::new(), header, parent, metadata: json!({}), content }
    }
}

/// ISO 8601 in UTC with microseconds.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_with_the_same_key_only() {
        let (key, other) = (Key::new("secret").unwrap(), Key::new("else").unwrap());
        let mut message = Message::new("execute_request", "s", json!({}), json!({"code": "漢"}));
        message.identities.push(Bytes::from_static(b"client"));
        let read = Message::read(message.frames(&key), &key).unwrap();
        assert_eq!(read.header["msg_type"], "execute_request");
        assert_eq!(read.content["code"], "漢");
        assert_eq!(read.identities, message.identities);
        assert!(Message::read(message.frames(&key), &other).is_err());
        assert!(Message::read(message.frames(&Key::new("").unwrap()), &key).is_err());
        assert!(Message::read(message.frames(&other), &Key::new("").unwrap()).is_ok());
    }

    #[test]
    fn frames_that_are_no_message_are_refused() {
        let key = Key::new("").unwrap();
        assert!(Message::read(ZmqMessage::from("hello"), &key).is_err());
        let mut short = ZmqMessage::from("<IDS|MSG>");
        short.push_back("".into());
        short.push_back("{}".into());
        assert!(Message::read(short, &key).is_err());
    }

    #[test]
    fn dates_are_right() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000000Z");
    }
}
