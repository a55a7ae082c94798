//! Registries over real HTTP: the token dance, pages of tags, digests; and registries that want harm.

use std::time::Duration;

use weir::base::{Digest, Secret};
use weir::outside::egress::Egress;
use weir::outside::http::{HttpError, Settings};
use weir::outside::oci::{Access, Login, OciError, Registry, Repository};

use super::web::{Shelf, Told, Web};

fn access(login: Login) -> Access {
    let settings = Settings { egress: Egress { loopback: true }, ..Settings::default() };
    Access { settings, login, insecure: true, timeout: Duration::from_secs(20) }
}

fn basic(user: &str, password: &str) -> Login {
    Login::Basic { user: user.into(), password: Secret::new(password) }
}

fn registry(web: &Web, path: &str, login: Login) -> Registry {
    let repository = Repository::parse(&format!("oci://{}/{path}", web.address)).unwrap();
    Registry::new(repository, &access(login)).unwrap()
}

#[tokio::test]
async fn an_artifact_comes_by_tag_and_its_bytes_are_those_promised() {
    let shelf = Shelf::default();
    let pushed = shelf.push("team/app", "1.0.0", "text/plain", b"layer");
    let web = shelf.serve().await;
    let registry = registry(&web, "team/app", Login::None);
    let digest = registry.resolve("1.0.0").await.unwrap();
    assert_eq!(digest.to_string(), pushed);
    assert_eq!(web.asked().last().unwrap().method, "HEAD", "a tag is looked up without a pull");
    let manifest = registry.manifest(&digest).await.unwrap();
    assert_eq!(manifest.annotations["org.opencontainers.image.revision"], "main@sha1:abc");
    let layer = manifest.layer(Some("text/plain")).unwrap();
    assert_eq!(registry.blob(layer, 100).await.unwrap(), b"layer");
    assert!(matches!(registry.blob(layer, 4).await, Err(OciError::Limit { .. })));
    assert!(matches!(registry.resolve("2.0.0").await, Err(OciError::Missing { .. })));
}

#[tokio::test]
async fn a_token_is_fetched_with_the_login_and_used() {
    let shelf = Shelf { login: Some("ada:canary".into()), ..Shelf::default() };
    shelf.push("app", "1.0.0", "text/plain", b"layer");
    let web = shelf.serve().await;
    let way = registry(&web, "app", basic("ada", "canary"));
    way.resolve("1.0.0").await.unwrap();
    assert_eq!(way.tags().await.unwrap(), ["1.0.0"]);
    let tokens = web.asked().iter().filter(|asked| asked.path == "/token").count();
    assert_eq!(tokens, 1, "one token serves the run");
    let asked = web.asked().into_iter().find(|asked| asked.path == "/token").unwrap();
    assert!(asked.query.contains("service=shelf") && asked.query.contains("scope=repository%3Aapp%3Apull"));
    for (login, why) in [(Login::None, "spec.secretRef"), (basic("ada", "wrong"), "refused the credentials")] {
        let error = registry(&web, "app", login).resolve("1.0.0").await.unwrap_err();
        assert!(error.is_authentication() && error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("wrong"));
    }
}

#[tokio::test]
async fn credentials_never_go_to_another_house() {
    let thief = Web::start(|_| Told::new(200, r#"{"token": "let me in"}"#)).await;
    for realm in [
        format!("http://localhost:{}/token", thief.address.port()),
        "https://evil.example/token".into(),
        "http://169.254.169.254/token".into(),
        "file:///etc/passwd".into(),
        "nonsense".into(),
        String::new(),
    ] {
        let shelf = Shelf { login: Some("ada:canary".into()), realm: Some(realm.clone()), ..Shelf::default() };
        let web = shelf.serve().await;
        let error = registry(&web, "app", basic("ada", "canary")).tags().await.unwrap_err();
        assert!(matches!(error, OciError::Realm { .. }), "{realm}: {error}");
    }
    assert!(thief.asked().is_empty());
    let moved = Web::start(|_| Told::new(200, "payload")).await;
    let target = moved.url("blob");
    let digest = Digest::sha256(b"payload");
    let named = digest.to_string();
    let web = Web::start(move |asked| match asked.path.split('/').nth(3) {
        _ if asked.authorization().is_none() => Told::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
        Some("manifests") => {
            Told::new(200, format!(r#"{{"schemaVersion": 2, "layers": [{{"digest": "{named}", "size": 7}}]}}"#))
        }
        _ => Told::new(307, "").with("location", &target),
    })
    .await;
    let way = registry(&web, "app", basic("ada", "canary"));
    let manifest = way.manifest(&way.resolve("latest").await.unwrap()).await.unwrap();
    assert_eq!(way.blob(manifest.layer(None).unwrap(), 100).await.unwrap(), b"payload");
    assert!(moved.asked().iter().all(|asked| asked.authorization().is_none()), "dropped where the blob lies elsewhere");
}

#[tokio::test]
async fn all_pages_of_tags_are_read() {
    let shelf = Shelf { page: Some(7), ..Shelf::default() };
    for number in 0..40 {
        shelf.push("app", &format!("1.0.{number}"), "text/plain", b"layer");
    }
    let web = shelf.serve().await;
    assert_eq!(registry(&web, "app", Login::None).tags().await.unwrap().len(), 40);
    assert_eq!(web.asked().len(), 6);
}

#[tokio::test]
async fn lists_that_never_end_do() {
    let page = r#"{"tags": ["1.0.0", "../x", "a b", ""]}"#;
    let turning =
        Web::start(|_| Told::new(200, r#"{"tags": []}"#).with("link", "</v2/app/tags/list>; rel=\"next\"")).await;
    let error = registry(&turning, "app", Login::None).tags().await.unwrap_err();
    assert!(error.to_string().contains("leads back"), "{error}");
    let abroad = Web::start(|_| Told::new(200, "{}").with("link", "<http://evil.example/>; rel=\"next\"")).await;
    let error = registry(&abroad, "app", Login::None).tags().await.unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let endless = Web::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Told::new(200, page).with("link", &format!("</v2/app/tags/list?last={number}>; rel=\"next\""))
    })
    .await;
    let error = registry(&endless, "app", Login::None).tags().await.unwrap_err();
    assert!(matches!(error, OciError::Limit { what: "pages of tags", .. }), "{error}");
    assert_eq!(endless.asked().len(), 1000);
    let once = Web::start(move |_| Told::new(200, page)).await;
    assert_eq!(registry(&once, "app", Login::None).tags().await.unwrap(), ["1.0.0"], "what is no tag is passed over");
    let endless = Web::start(|_| Told { status: 200, endless: true, ..Told::default() }).await;
    let error = registry(&endless, "app", Login::None).tags().await.unwrap_err();
    assert!(matches!(error, OciError::Http(HttpError::TooLarge { .. })), "{error}");
}

#[tokio::test]
async fn lies_about_digests_and_sizes_are_found() {
    let lie = |layers: String| {
        move |asked: &super::web::Asked| {
            let good = Digest::sha256(b"good");
            match asked.path.contains("/blobs/") {
                true => Told::new(200, "evil"),
                false => Told::new(200, format!(r#"{{"schemaVersion": 2, "layers": [{layers}]}}"#))
                    .with("docker-content-digest", &good.to_string()),
            }
        }
    };
    let good = Digest::sha256(b"good");
    let web = Web::start(lie(format!(r#"{{"digest": "{good}", "size": 4}}"#))).await;
    let way = registry(&web, "app", Login::None);
    let told = way.resolve("latest").await.unwrap();
    assert!(matches!(way.manifest(&told).await, Err(OciError::Digest { .. })), "the manifest is not what its tag says");
    for (size, is_wanted) in [(4, "Digest"), (3, "TooLarge"), (9, "Content")] {
        let layers = format!(r#"{{"digest": "{good}", "size": {size}, "urls": ["http://evil.example/"]}}"#);
        let body = format!(r#"{{"schemaVersion": 2, "layers": [{layers}]}}"#);
        let digest = Digest::sha256(body.as_bytes());
        let web = Web::start(lie(layers)).await;
        let way = registry(&web, "app", Login::None);
        let manifest = way.manifest(&digest).await.unwrap();
        let error = way.blob(manifest.layer(None).unwrap(), 100).await.unwrap_err();
        assert!(format!("{error:?}").contains(is_wanted), "{size}: {error:?}");
    }
    let shelf = Shelf::default();
    let mut child = shelf.blob(br#"{"schemaVersion": 2, "layers": []}"#);
    for _ in 0..4 {
        let index = format!(r#"{{"schemaVersion": 2, "manifests": [{{"digest": "{child}", "size": 1}}]}}"#);
        child = shelf.blob(index.as_bytes());
    }
    let web = shelf.serve().await;
    let error = registry(&web, "app", Login::None).manifest(&child.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, OciError::Limit { what: "indexes within indexes", .. }), "{error}");
    let endless = Web::start(|_| Told { status: 200, endless: true, ..Told::default() }).await;
    let error = registry(&endless, "app", Login::None).manifest(&good).await.unwrap_err();
    assert!(matches!(error, OciError::Http(HttpError::TooLarge { .. })), "{error}");
}

#[tokio::test]
async fn a_registry_that_asks_for_a_pause_gets_it() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let busy = Web::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        1 => Told::new(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow"}]}"#).with("retry-after", "1"),
        0 => Told::new(200, r#"{"tags": ["1.0.0"]}"#).with("link", "</v2/app/tags/list?last=1.0.0>; rel=\"next\""),
        _ => Told::new(200, r#"{"tags": ["2.0.0"]}"#),
    })
    .await;
    assert_eq!(registry(&busy, "app", Login::None).tags().await.unwrap(), ["1.0.0", "2.0.0"]);
    assert_eq!(busy.asked().len(), 3, "the page is asked for again, the list is not begun anew");
    let weary = Web::start(|_| Told::new(429, "{}").with("retry-after", "1200")).await;
    let error = registry(&weary, "app", Login::None).tags().await.unwrap_err();
    assert!(matches!(error, OciError::Busy { after: Some(after), .. } if after.as_secs() == 1200), "{error}");
    assert_eq!(weary.asked().len(), 1, "a long pause is left to who comes back later");
}
