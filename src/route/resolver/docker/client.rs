//! The way to an engine: a connection of its own for each request, served by the runtime that asks.

use std::io;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;

use super::config::Engine;
use crate::route::resolver::dial::dial;
use crate::upstream::Address;

/// The deadline is around the resolver; this one is only the library's, in seconds.
const TIMEOUT: u64 = 60;

/// A client that connects with each request.
///
/// # Errors
/// None is known.
pub fn client(engine: &Engine) -> Result<Docker, Error> {
    let (address, origin) = match engine {
        Engine::Unix(path) => (Address::Unix(path.into()), "http://localhost".to_owned()),
        Engine::Http(host, port) => {
            (Address::Tcp { host: host.clone(), port: *port }, engine.shown())
        }
    };
    let transport = move |request: BollardRequest| {
        let address = address.clone();
        async move { exchange(&address, request).await }
    };
    Docker::connect_with_custom_transport(transport, Some(origin), TIMEOUT, API_DEFAULT_VERSION)
}

async fn exchange(
    address: &Address,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    let host = request.uri().authority().map_or("localhost", |authority| authority.as_str());
    let host = HeaderValue::from_str(host).map_err(hyper::http::Error::from)?;
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);

    let connected = dial(address).await.map_err(io::Error::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(connected.io)).await?;
    // It ends when nobody waits for the answer any more.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
