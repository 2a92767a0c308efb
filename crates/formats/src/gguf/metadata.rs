//! What a GGUF file says about its model: values by key.

use base::{Error, Quoted, Result};
use serde_json::{Map, Number};

use super::value::{Array, Strings, Value};

/// Metadata, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
}

impl Metadata {
    /// The value of `key`. Files have some fifty keys, so they are searched in order.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Gives `key` a value; replaces the one it has.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none, as in a safetensors model.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// An integer that is not negative, of any type; `None` when the key is absent, an error when it is another type.
    pub fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "an unsigned integer", Value::as_u64)
    }

    /// A float of either width; as [`Metadata::u64`] otherwise.
    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a float", Value::as_f64)
    }

    /// A truth value; as [`Metadata::u64`] otherwise.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a bool", Value::as_bool)
    }

    /// A string; as [`Metadata::u64`] otherwise.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// An array of strings; as [`Metadata::u64`] otherwise.
    pub fn strings(&self, key: &str) -> Result<Option<&Strings>> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(Array::String(items)) => Some(items),
            _ => None,
        })
    }

    /// An array of integers of any one type, widened; as [`Metadata::u64`] otherwise.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.typed(key, "an array of integers", |value| {
            value.as_array()?.values().map(|item| item.as_i64()).collect()
        })
    }

    /// An array of floats of either width, widened; as [`Metadata::u64`] otherwise.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "an array of floats", |value| {
            value.as_array()?.values().map(|item| item.as_f64()).collect()
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| err_type(key, value, expected))
    }

    /// A JSON object of all scalars and of the arrays short enough to be settings rather than a vocabulary.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let settings = self.iter().filter_map(|(key, value)| Some((key.to_owned(), json(value)?)));
        serde_json::Value::Object(settings.collect::<Map<_, _>>())
    }
}

/// The longest array that is taken for a setting: per-layer ones have as many items as the model has layers.
const MAX_SETTING_LEN: usize = 1024;

/// `None` for arrays that are long or nested. A float that JSON has no number for becomes the text `NaN`, `inf` or
/// `-inf`, which whoever expects a number refuses; `null` would read as absent.
fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::Array(Array::Array(_)) => return None,
        Value::Array(items) if items.len() > MAX_SETTING_LEN => return None,
        Value::Array(items) => items.values().filter_map(|item| json(&item)).collect(),
        Value::String(text) => text.as_str().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::U64(number) => (*number).into(),
        Value::F32(number) => float((*number).into()),
        Value::F64(number) => float(*number),
        _ => value.as_i64().into(),
    })
}

fn float(number: f64) -> serde_json::Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Into::into)
}

fn err_type(key: &str, value: &Value, expected: &str) -> Error {
    let found = match value {
        Value::Array(items) => format!("an array of {:?}", items.item_type()),
        other => format!("{:?}", other.value_type()),
    };
    Error::corrupt(format!("metadata {} is {found}, expected {expected}", Quoted(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Metadata {
        let mut metadata = Metadata::default();
        metadata.set("a", 7u32);
        metadata.set("b", -7i32);
        metadata.set("c", 0.5f32);
        metadata.set("d", true);
        metadata.set("e", "text");
        metadata.set("f", Strings::from_iter(["x", "", "yz"]));
        metadata.set("g", Array::I32(vec![1, -2]));
        metadata.set("h", Array::F32(vec![f32::NAN, 1.5]));
        metadata.set("i", Array::Array(vec![Array::U8(vec![1])]));
        metadata.set("j", Array::U8(vec![0; 2000]));
        metadata.set("k", u64::MAX);
        metadata.set("l", f32::NAN);
        metadata.set("m", Value::F64(f64::NEG_INFINITY));
        metadata
    }

    #[test]
    fn typed_getters_convert_within_a_kind_and_refuse_across() {
        let metadata = sample();
        assert_eq!(metadata.u64("a").unwrap(), Some(7));
        assert_eq!(metadata.u64("missing").unwrap(), None);
        assert_eq!(metadata.integers("g").unwrap(), Some(vec![1, -2]));
        assert_eq!(metadata.strings("f").unwrap().unwrap().iter().collect::<Vec<_>>(), ["x", "", "yz"]);
        assert_eq!(metadata.str("e").unwrap(), Some("text"));
        let cases = [
            (metadata.u64("b").unwrap_err(), "metadata `b` is I32, expected an unsigned integer"),
            (metadata.f64("a").unwrap_err(), "metadata `a` is U32, expected a float"),
            (metadata.bool("e").unwrap_err(), "metadata `e` is String, expected a bool"),
            (
                metadata.strings("g").unwrap_err(),
                "metadata `g` is an array of I32, expected an array of strings",
            ),
            (
                metadata.floats("g").unwrap_err(),
                "metadata `g` is an array of I32, expected an array of floats",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn json_has_the_settings_and_not_the_vocabulary() {
        let json = sample().to_json();
        let expected = serde_json::json!({
            "a": 7, "b": -7, "c": 0.5, "d": true, "e": "text", "f": ["x", "", "yz"], "g": [1, -2],
            "h": ["NaN", 1.5], "k": u64::MAX, "l": "NaN", "m": "-inf",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn setting_a_key_again_replaces_its_value() {
        let mut metadata = sample();
        let before = metadata.len();
        metadata.set("a", "other");
        assert_eq!(metadata.len(), before);
        assert_eq!(metadata.get("a"), Some(&Value::from("other")));
    }
}
