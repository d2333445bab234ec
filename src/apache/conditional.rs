//! `<IfModule>` and its kind: sections that are looked at while the file is read.

use regex::Regex;

use super::read::Reader;
use super::words::words;

/// Whether the inside of the section `name` with `args` counts; `None`: it is no such section.
///
/// # Errors
/// What is wrong with its arguments, as one line.
pub fn holds(name: &str, args: &str, reader: &Reader) -> Result<Option<bool>, String> {
    let name = name.to_ascii_lowercase();
    let test: fn(&str, &Reader) -> bool = match name.as_str() {
        "ifmodule" => |module, reader| reader.modules.has(module),
        "ifdefine" => |name, reader| reader.defines.has(name),
        "iffile" => |file, reader| reader.absolute(file).exists(),
        "ifdirective" | "ifsection" => is_known,
        "ifversion" => return version(&words(args), reader.version).map(Some),
        _ => return Ok(None),
    };
    let (wanted, args) = match args.strip_prefix('!') {
        Some(args) => (false, args),
        None => (true, args),
    };
    match words(args).first() {
        Some(word) => Ok(Some(test(word, reader) == wanted)),
        None => Err(format!("<{name}> needs a name")),
    }
}

/// Directives come with modules; the names of those that matter here begin with the module's. What
/// belongs to no such module is taken for known.
fn is_known(directive: &str, reader: &Reader) -> bool {
    const OWNERS: [(&str, &str); 8] = [
        ("wsroute", "wsroute_module"),
        ("rewrite", "rewrite_module"),
        ("proxy", "proxy_module"),
        ("sslproxy", "ssl_module"),
        ("ssl", "ssl_module"),
        ("requestheader", "headers_module"),
        ("h2", "http2_module"),
        ("macro", "macro_module"),
    ];
    let directive = directive.to_ascii_lowercase();
    let owner = OWNERS.iter().find(|(prefix, _)| directive.starts_with(prefix));
    owner.is_none_or(|(_, module)| reader.modules.has(module))
}

/// `[[!]OPERATOR] VERSION`
fn version(args: &[String], installed: [u32; 3]) -> Result<bool, String> {
    let (operator, text) = match args {
        [text] => ("=", text),
        [operator, text] => (operator.as_str(), text),
        _ => {
            return Err(
                "<IfVersion> needs an operator and a version, use <IfVersion >= 2.4>".into()
            );
        }
    };
    let (wanted, operator) = match operator.strip_prefix('!') {
        Some("") => (false, "="),
        Some(operator) => (false, operator),
        None => (true, operator),
    };
    let regex = text.strip_prefix('/').and_then(|text| text.strip_suffix('/'));
    let holds = match (operator, regex) {
        ("~", _) | ("=" | "==", Some(_)) => {
            let [major, minor, patch] = installed;
            let regex = Regex::new(regex.unwrap_or(text));
            let regex = regex.map_err(|_| format!("{text:?} is no regular expression"))?;
            regex.is_match(&format!("{major}.{minor}.{patch}"))
        }
        _ => {
            let order = installed.cmp(&numbers(text)?);
            match operator {
                "=" | "==" => order.is_eq(),
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                _ => return Err(format!("unknown operator {operator:?}, use = > >= < <= or ~")),
            }
        }
    };
    Ok(holds == wanted)
}

fn numbers(text: &str) -> Result<[u32; 3], String> {
    let wrong = || format!("{text:?} is no version, use 2.4.58");
    let mut version = [0; 3];
    for (i, number) in text.split('.').enumerate() {
        *version.get_mut(i).ok_or_else(wrong)? = number.parse().map_err(|_| wrong())?;
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            ("2.4.66", true),
            (">= 2.4", true),
            ("> 2.4.66", false),
            ("< 2.4.70", true),
            ("!< 2.4.70", false),
            ("! 2.4.66", false),
            ("= /^2\\.4/", true),
            ("~ ^2\\.5", false),
        ];
        for (args, expected) in table {
            assert_eq!(version(&words(args), [2, 4, 66]), Ok(expected), "{args}");
        }
        for args in ["", "a", "x 2.4", "1.2.3.4", ">= 2.4 x"] {
            assert!(version(&words(args), [2, 4, 66]).is_err(), "{args}");
        }
    }
}
