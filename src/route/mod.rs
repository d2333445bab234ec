//! Where a request belongs: key, resolver, owner.
//!
//! [`key`] takes candidates from the request, [`decide`](decide::decide) asks the resolvers (or
//! fills in the template) and checks the owner; the result is a [`Decision`] or a [`Refusal`].
//! Nothing here connects; [`AllowList`] is asked where names are looked up.

use std::collections::HashMap;
use std::sync::Arc;

pub mod allow;
pub mod answer;
pub mod cache;
pub mod candidates;
pub mod cookies;
pub mod decide;
pub mod key;
pub mod origin;
pub mod refusal;
pub mod remember;
pub mod resolver;
pub mod session;
pub mod template;
pub mod units;

pub use allow::AllowList;
pub use answer::Answer;
pub use cache::CachedResolver;
pub use candidates::candidates;
pub use decide::{Ask, Decision, Refused, decide};
pub use key::{Candidate, Expressions, KeyRule, Source, Sources};
pub use origin::OriginPolicy;
pub use refusal::Refusal;
pub use resolver::{Facts, Query, ResolveError, Resolver, ResolverConfig};
pub use template::{PathTemplate, RouteError, Template};

use resolver::config::is_resolver_name;

/// The value of `WsRoute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Not routed at all.
    Off,
    /// A URL, with placeholders or without.
    Template(Template),
    /// Names of resolvers, asked in this order.
    Resolvers(Vec<String>),
}

impl Route {
    /// Parses the arguments of `WsRoute`. Whether the resolvers exist is not known here.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<Route, String> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let is_url = |text: &str| {
            text.contains("://")
                || text
                    .split_once(':')
                    .is_some_and(|(s, _)| s.to_ascii_lowercase().ends_with("+unix"))
        };
        match args[..] {
            [] => Err("no value, use Off, a URL or resolver names".into()),
            [one] if one.eq_ignore_ascii_case("off") => Ok(Route::Off),
            [one] if is_url(one) => Template::parse(one).map(Route::Template),
            _ => {
                for name in &args {
                    if is_url(name) {
                        return Err("more than a URL, use one URL alone or resolver names".into());
                    }
                    if !is_resolver_name(name) {
                        return Err(format!(
                            "{name:?} is neither URL nor resolver name, use ws://host:port/path \
                             or the NAME of a WsRouteResolver"
                        ));
                    }
                }
                Ok(Route::Resolvers(args.iter().map(|&name| name.to_owned()).collect()))
            }
        }
    }
}

/// The resolvers of a child by name.
#[derive(Clone, Default)]
pub struct Resolvers {
    by_name: HashMap<String, Arc<CachedResolver>>,
}

impl Resolvers {
    /// The resolver called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<CachedResolver>> {
        self.by_name.get(name)
    }

    /// Adds a resolver under its own name, in place of an earlier one.
    pub fn insert(&mut self, resolver: Arc<CachedResolver>) {
        self.by_name.insert(resolver.name().to_owned(), resolver);
    }

    /// Drops the cached answer behind `decision`, because connecting to it failed. Deciding again
    /// asks the resolver. False if there is nothing to drop: the target came from a template.
    pub async fn forget(&self, decision: &Decision) -> bool {
        let resolver = decision.resolver.as_deref().and_then(|name| self.get(name));
        let (Some(resolver), Some(query), Some(answer)) =
            (resolver, &decision.query, &decision.answer)
        else {
            return false;
        };
        resolver.forget(query, answer).await;
        true
    }

    /// Warnings of all resolvers since the last call, one line each, for the error log.
    pub fn warnings(&self) -> Vec<String> {
        self.by_name.values().flat_map(|r| r.warnings()).collect()
    }
}

impl FromIterator<Arc<CachedResolver>> for Resolvers {
    fn from_iter<I: IntoIterator<Item = Arc<CachedResolver>>>(resolvers: I) -> Resolvers {
        let mut all = Resolvers::default();
        resolvers.into_iter().for_each(|r| all.insert(r));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        assert_eq!(Route::parse(&["off"]), Ok(Route::Off));
        let names = Route::parse(&["desktops", "more_1.x-y"]).unwrap();
        assert_eq!(names, Route::Resolvers(vec!["desktops".into(), "more_1.x-y".into()]));
        for url in ["ws://h:1", "WS+unix:/run/a", "wss://{key}:1/{tail}"] {
            assert!(matches!(Route::parse(&[url]), Ok(Route::Template(_))), "{url}");
        }
    }

    #[test]
    fn bad_routes() {
        let table: &[(&[&str], &str)] = &[
            (&[], "no value, use Off"),
            (&["ws://a", "ws://b"], "more than a URL"),
            (&["desktops", "ws://b"], "more than a URL"),
            (&["desktops", "off"], "neither URL nor resolver"),
            (&["10.0.0.5:6901"], "neither URL nor resolver"),
            (&["a b"], "neither URL nor resolver"),
            (&[""], "neither URL nor resolver"),
            (&["ftp://a"], "unknown scheme"),
        ];
        for (args, text) in table {
            let error = Route::parse(args).unwrap_err();
            assert!(error.contains(text), "{args:?}: {error}");
        }
    }
}
