//! The API as a tower service: one for clients in this process and for the socket.
//!
//! Reads the body, records the request, suffers scripted faults, routes. Start with [`Api`].

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::answer::{self, Answer};
use super::dial::Asked;
use super::request::{BODY_LIMIT, Request};
use super::status::Failure;
use super::{Core, Owner, route};

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A handle that answers HTTP requests; the API stays open as long as one lives.
///
/// The one without an owner is the API's own: it does not keep it open, and neither tests' faults nor records see it.
#[derive(Clone)]
pub struct Api {
    pub(super) core: Arc<Core>,
    pub(super) owner: Option<Arc<Owner>>,
}

impl<B> tower::Service<http::Request<B>> for Api
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (core, watched) = (self.core.clone(), self.owner.is_some());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            Ok(match read_body(body).await {
                Ok(body) => respond(&core, parts, body, watched).await,
                Err(refused) => answer::failure(&refused),
            })
        })
    }
}

async fn read_body<B>(body: B) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_LIMIT).collect());
    let Ok(collected) = read.await else {
        return Err(Failure::new(408, "Timeout", "the body of the request did not arrive in time"));
    };
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let why = format!("Request entity too large: limit is {BODY_LIMIT}");
            Err(Failure::new(413, "RequestEntityTooLarge", why))
        }
        Err(error) => Err(Failure::bad_request(format!("the body of the request could not be read: {error}"))),
    }
}

async fn respond(core: &Arc<Core>, parts: Parts, body: Bytes, watched: bool) -> Answer {
    if core.closing.is_cancelled() {
        return answer::failure(&Failure::new(503, "ServiceUnavailable", "the embedded API is closing"));
    }
    let query = parts.uri.query().unwrap_or_default().to_string();
    let result = async {
        let request = Request::new(parts, body)?;
        let mut lost = false;
        if watched {
            core.dial.record(asked(&request, query));
            lost = core.dial.before(&request).await?;
        }
        let answer = route::route(core, request).await?;
        if lost {
            return Err(Failure::new(504, "Timeout", "the answer was lost on purpose"));
        }
        Ok(answer)
    };
    result.await.unwrap_or_else(|refused: Failure| answer::failure(&refused))
}

fn asked(request: &Request, query: String) -> Asked {
    let user = request.header("impersonate-user");
    Asked {
        method: request.method.clone(),
        path: format!("/{}", request.path.join("/")),
        query,
        user: (!user.is_empty()).then(|| user.to_string()),
        content_type: request.content_type().to_string(),
    }
}
