//! Reading a model's configuration, and refusing what is not implemented.
//!
//! The same reader serves `config.json` and GGUF metadata: both are keys with values. A refusal names the key, what
//! was found, and what was expected.

use base::{Error, Excerpt, Result};
use serde_json::Value;

/// The keys of one configuration, or of one object inside it.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    value: &'a Value,
    prefix: &'a str,
}

/// Sizes above this are a broken file, not a model.
const SIZE_MAX: u64 = 1 << 28;

impl<'a> Config<'a> {
    /// Reads `value`, an object.
    pub fn new(value: &'a Value) -> Self {
        Self { value, prefix: "" }
    }

    /// The same keys, each preceded by `prefix` (GGUF: `deepseek2.`).
    pub fn with_prefix(self, prefix: &'a str) -> Self {
        Self { prefix, ..self }
    }

    /// The value of `key`; JSON null counts as absent.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let found = if self.prefix.is_empty() {
            self.value.get(key)
        } else {
            self.value.get(format!("{}{key}", self.prefix))
        };
        found.filter(|value| !value.is_null())
    }

    /// The object at `key`, which may be absent, but nothing else than an object.
    pub fn child(&self, key: &str) -> Result<Option<Config<'a>>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) if value.is_object() => Ok(Some(Config::new(value))),
            Some(_) => Err(self.err_expected(key, "an object")),
        }
    }

    /// A size: a whole number from 1 to 2^28.
    pub fn size(&self, key: &str) -> Result<usize> {
        match self.size_or(key, 0)? {
            0 => Err(self.err_expected(key, "a whole number above 0")),
            size => Ok(size),
        }
    }

    /// A size that may be absent or 0.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let size = value.as_u64().filter(|size| *size <= SIZE_MAX);
        size.map(|size| size as usize).ok_or_else(|| self.err_expected(key, "a whole number up to 2^28"))
    }

    /// A finite number.
    pub fn number(&self, key: &str) -> Result<f64> {
        let number = self.get(key).and_then(Value::as_f64).filter(|number| number.is_finite());
        number.ok_or_else(|| self.err_expected(key, "a number"))
    }

    /// A finite number that may be absent.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        if self.get(key).is_none() { Ok(default) } else { self.number(key) }
    }

    /// A finite number above 0.
    pub fn positive(&self, key: &str) -> Result<f64> {
        let number = self.number(key)?;
        if number > 0.0 { Ok(number) } else { Err(self.err_expected(key, "a number above 0")) }
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Result<bool> {
        let flag = self.get(key).and_then(Value::as_bool);
        flag.ok_or_else(|| self.err_expected(key, "true or false"))
    }

    /// True or false, which may be absent.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        if self.get(key).is_none() { Ok(default) } else { self.flag(key) }
    }

    /// A string, which may be absent.
    pub fn text_or<'b>(&self, key: &str, default: &'b str) -> Result<&'b str>
    where
        'a: 'b,
    {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_str().ok_or_else(|| self.err_expected(key, "a string"))
    }

    /// Refuses the model unless `key` is absent or equals `expected`: the engine implements nothing else.
    pub fn require(&self, key: &str, expected: impl Into<Value>) -> Result<()> {
        let expected = expected.into();
        match self.get(key) {
            Some(found) if *found != expected => Err(self.err_implemented(key, &expected.to_string())),
            _ => Ok(()),
        }
    }

    /// [`require`](Self::require), of a key that must be there.
    pub fn require_present(&self, key: &str, expected: impl Into<Value>) -> Result<()> {
        match self.get(key) {
            Some(_) => self.require(key, expected),
            None => Err(self.err_implemented(key, &expected.into().to_string())),
        }
    }

    /// Refuses the model unless `key` is absent or an empty object.
    pub fn require_empty(&self, key: &str) -> Result<()> {
        match self.get(key) {
            Some(found) if !found.as_object().is_some_and(serde_json::Map::is_empty) => {
                Err(self.err_implemented(key, "nothing"))
            }
            _ => Ok(()),
        }
    }

    /// An error: `key` holds something other than `expected`.
    pub fn err_expected(&self, key: &str, expected: &str) -> Error {
        Error::corrupt(format!("`{}{key}` is {}; expected {expected}", self.prefix, self.found(key)))
    }

    /// An error: `key` holds something this engine does not implement.
    pub fn err_implemented(&self, key: &str, implemented: &str) -> Error {
        let found = self.found(key);
        Error::unsupported(format!("`{}{key}` is {found}; only {implemented} is implemented", self.prefix))
    }

    fn found(&self, key: &str) -> String {
        let found = self.get(key).map_or("absent".to_owned(), Value::to_string);
        Excerpt(&found).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_refused_by_key() {
        let value = serde_json::json!({"a": 0, "b": -1, "c": 1.5, "d": "x", "e": null, "f": 1e300});
        let config = Config::new(&value);
        for key in ["a", "b", "c", "d", "e", "f", "missing"] {
            let error = config.size(key).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        assert!(config.require("d", "y").unwrap_err().to_string().contains("only \"y\" is implemented"));
        assert!(config.require("missing", "y").is_ok());
        assert_eq!(config.size_or("e", 7).unwrap(), 7);
    }
}
