//! Configuration: compiled defaults < file < environment < what is shared by all processes.
//! The defaults are a commented file too; a key that it does not have is refused, wherever it
//! comes from.

use std::path::Path;

use figment::providers::{Env, Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serializer;
use serde::de::DeserializeOwned;

/// The prefix of the environment's keys; `__` stands between levels. `GOLIGOLI_CONFIG` names the
/// file, `GOLIGOLI_TOKEN` is who `goligoli import` asks as; neither is a key.
pub const ENV_PREFIX: &str = "GOLIGOLI_";

/// The configuration can't be used; says which key, and where it came from.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not valid: {0}")]
pub struct ConfigError(String);

/// Reads the layers and checks them as a whole.
///
/// # Errors
/// The file is missing or malformed, a key is unknown, or a value has the wrong type.
pub fn load<T: DeserializeOwned>(defaults: &str, file: Option<&Path>) -> Result<T, ConfigError> {
    let layers = Figment::from(Toml::string(defaults));
    match file {
        None => extract(layers, ""),
        Some(file) if file.is_file() => extract(layers.merge(Toml::file_exact(file)), ""),
        Some(file) => Err(ConfigError(format!("there is no file {}", file.display()))),
    }
}

/// The same with `text` in place of a file that was read before, and `shared` (TOML) over all.
///
/// # Errors
/// See [`load`].
pub fn read<T: DeserializeOwned>(defaults: &str, text: &str, shared: &str) -> Result<T, ConfigError> {
    extract(Figment::from(Toml::string(defaults)).merge(Toml::string(text)), shared)
}

/// For `serialize_with` of a URL: without its password, as all that is printed.
///
/// # Errors
/// Those of the serializer.
pub fn without_password<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hide_password(url))
}

/// The URL with `***` in place of its password. One that should have been escaped is hidden
/// as a whole, too.
#[must_use]
pub fn hide_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((account, place)) = rest.rsplit_once('@') else { return url.to_owned() };
    match account.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{place}"),
        None => url.to_owned(),
    }
}

fn extract<T: DeserializeOwned>(layers: Figment, shared: &str) -> Result<T, ConfigError> {
    let environment = Environment::over(&layers);
    layers
        .merge(environment)
        .merge(Toml::string(shared))
        .extract()
        .map_err(|error| ConfigError(error.to_string().replace('\n', " ")))
}

/// The environment's keys. A value there has no type but the one that it looks like: where the
/// layers below have a text, it is one, digits or not.
struct Environment {
    variables: Env,
    texts: Vec<(String, String)>,
}

impl Environment {
    fn over(layers: &Figment) -> Self {
        let variables = Env::prefixed(ENV_PREFIX).ignore(&["config", "token"]).split("__");
        let is_text = |value: &Value| matches!(value, Value::String(..) | Value::Char(..));
        let looks_otherwise = |text: &str| text.parse::<Value>().is_ok_and(|value| !is_text(&value));
        let texts = variables
            .iter()
            .map(|(key, text)| (key.to_string(), text))
            .filter(|(key, text)| layers.find_value(key).is_ok_and(|below| is_text(&below)) && looks_otherwise(text))
            .collect();
        Self { variables, texts }
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        self.variables.metadata()
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut data = self.variables.data()?;
        for (key, text) in &self.texts {
            for dict in data.values_mut() {
                put(dict, key, text);
            }
        }
        Ok(data)
    }
}

/// Puts a text in the place of what is there under a key with dots.
fn put(dict: &mut Dict, key: &str, text: &str) {
    match key.split_once('.') {
        None => _ = dict.insert(key.to_owned(), Value::from(text)),
        Some((level, rest)) => {
            if let Some(Value::Dict(_, below)) = dict.get_mut(level) {
                put(below, rest, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        rate: u32,
    }

    #[test]
    fn a_url_is_printed_without_its_password() {
        assert_eq!(hide_password("mysql://me:pw@db:3306/site"), "mysql://me:***@db:3306/site");
        assert_eq!(hide_password("redis://:pw@cache:6379/0"), "redis://:***@cache:6379/0");
        assert_eq!(hide_password("mysql://me:p/w@db/site"), "mysql://me:***@db/site");
        for url in ["sqlite:", "folder:", "nsq://lookup:4161", "mysql://me@db/site"] {
            assert_eq!(hide_password(url), url);
        }
    }

    #[test]
    fn a_file_overrides_defaults_and_unknown_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, "rate = 2").unwrap();
        assert_eq!(load::<Settings>("rate = 1", Some(&file)).unwrap().rate, 2);
        std::fs::write(&file, "rats = 2").unwrap();
        let error = load::<Settings>("rate = 1", Some(&file)).unwrap_err().to_string();
        assert!(error.contains("rats"), "{error}");
        assert!(load::<Settings>("rate = 1", Some(Path::new("/nowhere.toml"))).is_err());
        assert_eq!(read::<Settings>("rate = 1", "rate = 2", "rate = 3").unwrap().rate, 3);
    }
}
