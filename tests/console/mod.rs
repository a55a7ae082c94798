//! The console from the outside: objects and keys in, frames out.
//!
//! Most tests fill a picture by hand; those about verbs run on the embedded API. Start with [`Stage`].

mod budgets;
mod fleet;
mod frames;
mod hostile;
mod people;
mod releases;
mod terminal;

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;
use weir::cluster::{Cluster, Place};
use weir::config::parse_script;
use weir::console::Console;
use weir::console::message::{Effect, Msg};
use weir::console::run::render;
use weir::console::start::{self, Options, Script};
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
        let desk = Desk::new(cluster, Store::new(), Activity::default());
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

    /// The console itself, for tests that look at effects.
    pub fn console(&self) -> Console {
        let mut console = start::console(&self.desk, &self.options).unwrap();
        console.update(Msg::Size(self.size.0, self.size.1));
        console.prepare();
        console
    }

    async fn draw(&self, keys: &str, roles: bool) -> String {
        let script = Script { width: self.size.0, height: self.size.1, keys: keys.into(), roles };
        render(self.desk.clone(), self.options.clone(), &script).await.unwrap()
    }
}

pub fn live() -> Feed {
    Feed::Live { seen: fleet::NOW.parse().unwrap() }
}

/// Types keys at a person's pace and draws after each; answers the effects.
pub fn type_into(console: &mut Console, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (number, key) in (1u32..).zip(parse_script(keys).unwrap()) {
        let at = Duration::from_secs(1000) + Duration::from_millis(200) * number;
        effects.extend(console.update(Msg::Key(key, at)));
        console.prepare();
    }
    effects
}

/// The frame as it would be drawn now.
pub fn drawn(console: &Console, width: u16, height: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    console.draw(&mut buffer);
    buffer
}
