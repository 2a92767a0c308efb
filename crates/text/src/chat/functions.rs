//! What Hugging Face gives templates beyond Jinja: `tojson` without HTML escapes, `raise_exception`, `strftime_now`; and
//! numbers and lists printed as Python prints them.

use std::sync::Arc;
use std::time::SystemTime;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value, escape_formatter};

use super::guard::StandIns;
use super::json::Style;
use super::python;

/// How deep a value may be nested to be written.
const MAX_DEPTH: usize = 100;

/// Adds them to `environment`.
pub(super) fn install(environment: &mut Environment<'_>, stand_ins: Arc<StandIns>, now: SystemTime) {
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: &str| strftime(format, now));
    // Nothing is no list in Python; templates ask so before they count tools.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    let shared = Arc::clone(&stand_ins);
    environment.set_formatter(move |out, state, value| match printed(value, &shared)? {
        Some(text) => out.write_str(&text).map_err(Error::from),
        None => escape_formatter(out, state, value),
    });
    let shared = Arc::clone(&stand_ins);
    environment.add_filter("string", move |value: &Value| {
        Ok::<_, Error>(printed(value, &shared)?.map_or_else(|| value.to_string().into(), Value::from))
    });
    environment.add_filter("tojson", move |value: &Value, indent: Option<Value>, options: Kwargs| {
        let style = style(indent, &options)?;
        Ok::<_, Error>(style.dump(&plain(value, 0)?, &stand_ins))
    });
}

/// What Python prints of `value`; `None` where the interpreter prints the same.
fn printed(value: &Value, stand_ins: &StandIns) -> Result<Option<String>, Error> {
    Ok(match value.kind() {
        ValueKind::Number | ValueKind::Seq | ValueKind::Map => {
            Some(python::text(&plain(value, 0)?, stand_ins))
        }
        _ => None,
    })
}

fn strftime(format: &str, now: SystemTime) -> Result<String, Error> {
    let time = jiff::Timestamp::try_from(now).map(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    let text = time.and_then(|time| jiff::fmt::strtime::format(format, &time));
    text.map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))
}

fn style(indent: Option<Value>, options: &Kwargs) -> Result<Style, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let indent = match indent.filter(|indent| !indent.is_none()) {
        Some(indent) if indent.kind() == ValueKind::String => indent.as_str().map(str::to_owned),
        Some(indent) => Some(" ".repeat(usize::from(u8::try_from(indent)?))),
        None => None,
    };
    let separators = match options.get::<Option<Vec<String>>>("separators")?.as_deref() {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators are two strings")),
    };
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    Ok(Style { ensure_ascii, indent, separators, sort_keys })
}

/// `value` as plain JSON. What has no JSON is an error, as in Python.
fn plain(value: &Value, depth: usize) -> Result<serde_json::Value, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply"));
    }
    let items =
        |value: &Value| value.try_iter()?.map(|item| plain(&item, depth + 1)).collect::<Result<_, Error>>();
    Ok(match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => serde_json::Value::Array(items(value)?),
        ValueKind::Map => {
            let entry = |key: Value| {
                let value = value.get_item(&key)?;
                Ok::<_, Error>((key_text(&key), plain(&value, depth + 1)?))
            };
            serde_json::Value::Object(value.try_iter()?.map(entry).collect::<Result<_, Error>>()?)
        }
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String => {
            serde_json::to_value(value).map_err(|error| {
                Error::new(ErrorKind::InvalidOperation, format!("a value is not JSON: {error}"))
            })?
        }
        kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("{kind} is not JSON"))),
    })
}

/// Keys that are no strings are written as JSON would write them.
fn key_text(key: &Value) -> String {
    match key.kind() {
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::None => "null".to_owned(),
        _ => key.to_string(),
    }
}
