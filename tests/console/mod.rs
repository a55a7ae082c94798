//! The console from the outside: objects and keys in, frames out.
//!
//! Most tests fill a picture by hand; those about verbs run on the embedded API. Start with [`Stage`].

mod fleet;
mod frames;

use serde_json::Value;
use weir::cluster::{Cluster, Place};
use weir::console::run::render;
use weir::console::start::{Options, Script};
use weir::embedded::{self, Embedded};
use weir::kinds;
use weir::store::{Activity, Feed, Store};
use weir::verbs::Desk;

/// A picture with a console over it.
pub struct Stage {
    pub desk: Desk,
    pub options: Options,
    pub size: (u16, u16),
    _api: Embedded,
}

impl Stage {
    /// A picture of these objects in which every known kind is seen.
    pub async fn with(objects: Vec<Value>) -> Stage {
        let api = Embedded::open(embedded::Options::default()).await.unwrap();
        let place = Place::Context { name: "prod-eu".into(), server: "https://10.1.2.3:6443".into() };
        let cluster = Cluster::over(api.client(), place);
        let desk = Desk { cluster, store: Store::new(), activity: Activity::default() };
        assert_eq!(desk.store.put(objects), 0, "every document is an object");
        for kind in kinds::ALL {
            desk.store.set_feed(kind.group, kind.kind, live());
        }
        let options = Options { clock: Some(fleet::NOW.parse().unwrap()), ..Options::default() };
        Stage { desk, options, size: (80, 24), _api: api }
    }

    pub async fn fleet() -> Stage {
        Stage::with(fleet::fleet()).await
    }

    pub fn sized(mut self, width: u16, height: u16) -> Stage {
        self.size = (width, height);
        self
    }

    /// What a person sees after typing these keys.
    pub async fn after(&self, keys: &str) -> String {
        self.draw(keys, false).await
    }

    async fn draw(&self, keys: &str, roles: bool) -> String {
        let script = Script { width: self.size.0, height: self.size.1, keys: keys.into(), roles };
        render(self.desk.clone(), self.options.clone(), &script).await.unwrap()
    }
}

pub fn live() -> Feed {
    Feed::Live { seen: fleet::NOW.parse().unwrap() }
}
