//! The `docker` resolver: the engine's own list of containers. Podman's API is the same.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptions;

use super::cause::{cause, one_line};
use super::{Query, Resolution, ResolveError, Resolver};
use crate::route::answer::Answer;

mod client;
mod config;
mod container;
#[cfg(test)]
mod tests;

pub use config::DockerConfig;

use config::Select;

/// A Docker or Podman engine.
pub struct DockerResolver {
    shared: Arc<Shared>,
}

struct Shared {
    config: DockerConfig,
}

/// What a container must have to be the one of a key.
enum Wanted<'a> {
    Label { name: &'a str, value: &'a str },
    Name(String),
}

impl DockerResolver {
    /// A resolver that connects to its engine for each question.
    pub fn new(config: DockerConfig) -> DockerResolver {
        DockerResolver { shared: Arc::new(Shared { config }) }
    }
}

impl Resolver for DockerResolver {
    fn resolve(&self, query: Query) -> Resolution {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.ask(&query).await })
    }

    fn cache_key(&self, query: &Query) -> Vec<Option<String>> {
        match &self.shared.config.select {
            Select::Label(_) => vec![Some(query.key.clone())],
            Select::Name(pattern) => pattern.binds().map(|bind| bind.value(query)).collect(),
        }
    }
}

impl Shared {
    async fn ask(&self, query: &Query) -> Result<Option<Answer>, ResolveError> {
        let wanted = match &self.config.select {
            Select::Label(name) => Wanted::Label { name, value: &query.key },
            Select::Name(pattern) => match pattern.expand(query, str::to_owned) {
                Some(name) if is_container_name(&name) => Wanted::Name(name),
                _ => return Ok(None),
            },
        };
        let engine = client::client(&self.config.engine).map_err(|e| self.failed(&cause(&e)))?;
        let Some(id) = self.find(&engine, &wanted).await? else { return Ok(None) };
        let container = match engine.inspect_container(&id, None).await {
            Ok(container) => container,
            // It has gone between the two questions.
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(e) => return Err(self.failed(&cause(&e))),
        };
        let which = container::short_id(&container);
        let fields = container::fields(&container, &self.config)
            .map_err(|reason| self.failed(&format!("container {which}: {reason}")))?;
        Answer::from_fields(fields, false).map_err(|e| match e {
            ResolveError::Malformed(reason) => ResolveError::Malformed(format!(
                "{}: container {which}: {reason}",
                self.config.engine.shown()
            )),
            other => other,
        })
    }

    /// The id of the only container that is `wanted`.
    async fn find(
        &self,
        engine: &Docker,
        wanted: &Wanted<'_>,
    ) -> Result<Option<String>, ResolveError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(wanted.filters()),
            ..Default::default()
        };
        let listed = engine.list_containers(Some(options)).await;
        let listed = listed.map_err(|e| self.failed(&cause(&e)))?;
        let mut found: Vec<_> = listed.into_iter().filter(|c| wanted.matches(c)).collect();
        match found.len() {
            0 | 1 => Ok(found.pop().and_then(|c| c.id)),
            _ => {
                let names: Vec<_> = found.iter().flat_map(names).collect();
                Err(self.failed(&format!("more than one container matches: {}", names.join(", "))))
            }
        }
    }

    fn failed(&self, reason: &str) -> ResolveError {
        ResolveError::Failed(format!("{}: {}", self.config.engine.shown(), one_line(reason)))
    }
}

impl Wanted<'_> {
    /// The filters of the engine's list. They are only to keep it short.
    fn filters(&self) -> HashMap<String, Vec<String>> {
        let (filter, value) = match self {
            Wanted::Label { name, value } => ("label", format!("{name}={value}")),
            // A regular expression.
            Wanted::Name(name) => ("name", format!("^/?{}$", name.replace('.', "\\."))),
        };
        HashMap::from([(filter.to_owned(), vec![value])])
    }

    fn matches(&self, container: &ContainerSummary) -> bool {
        match self {
            Wanted::Label { name, value } => {
                let label = container.labels.as_ref().and_then(|labels| labels.get(*name));
                label.is_some_and(|label| label == value)
            }
            Wanted::Name(wanted) => names(container).any(|name| name == wanted),
        }
    }
}

fn names(container: &ContainerSummary) -> impl Iterator<Item = &str> {
    let names = container.names.iter().flatten();
    names.map(|name| name.strip_prefix('/').unwrap_or(name))
}

/// What the engine takes for a name; it has no other.
fn is_container_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}
