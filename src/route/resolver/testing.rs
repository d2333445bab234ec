//! What the tests of the resolvers share.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{Query, ResolveError, Resolver};

#[path = "../../../tests/harness/docker_api.rs"]
pub mod docker_api;
#[path = "../../../tests/harness/http_server.rs"]
pub mod http_server;

/// The question for `key`.
pub fn query(key: &str) -> Query {
    Query { key: key.into(), ..Query::default() }
}

/// The target of `key` as text; `none` if it has none yet.
pub async fn target(resolver: &dyn Resolver, key: &str) -> Result<Option<String>, ResolveError> {
    let answer = resolver.resolve(query(key)).await?;
    Ok(answer.map(|a| a.target.map_or("none".into(), |t| t.to_string())))
}

/// What [`target`] gives for this target.
pub fn some(text: &str) -> Result<Option<String>, ResolveError> {
    Ok(Some(text.into()))
}

/// A server's certificate by an authority of its own, in PEM.
pub struct Pki {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

/// A certificate for `name`.
pub fn pki(name: &str) -> Pki {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).unwrap();
    Pki { authority: authority_pem, certificate: leaf.pem(), key: key.serialize_pem() }
}

/// Asks in one runtime, whose thread is then blocked for a second, and meanwhile in another one of
/// its own; gives what the second got and how long it took.
pub fn ask_beside_a_busy_runtime(
    resolver: &dyn Resolver,
    key: &str,
) -> (Result<Option<String>, ResolveError>, Duration) {
    let run = |then: &dyn Fn()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let got = target(resolver, key).await;
            then();
            got
        })
    };
    let (asked, was_asked) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            run(&|| {
                asked.send(()).unwrap();
                std::thread::sleep(Duration::from_secs(1));
            })
            .unwrap();
        });
        was_asked.recv().unwrap();
        let began = std::time::Instant::now();
        let got = run(&|| {});
        (got, began.elapsed())
    })
}
