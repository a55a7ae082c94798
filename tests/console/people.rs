//! People press keys while the world moves: the right object is meant, or nothing is done.

use std::time::Duration;

use proptest::prelude::*;
use weir::base::Id;
use weir::config::{Key, parse_script};
use weir::console::message::{Answer, Effect, Msg};
use weir::console::{Console, frame};
use weir::kinds::Verb;
use weir::verbs::Ask;

use super::fleet::{REVISION, condition, kustomization, source};
use super::{Stage, drawn, type_into};

fn ks(name: usize, version: u64, uid: u64, state: &str) -> serde_json::Value {
    let name = format!("ks-{name:02}");
    let mut object = kustomization(&name, "fleet", &[], &[], condition("Ready", state, "Said", "said"));
    object["metadata"]["resourceVersion"] = version.to_string().into();
    object["metadata"]["uid"] = format!("{name}-{uid}").into();
    object
}

fn id(name: usize) -> Id {
    Id::new("kustomize.toolkit.fluxcd.io", "Kustomization", "flux-system", &format!("ks-{name:02}"))
}

/// The row under the cursor as a person sees it: the pane names the object.
fn seen(console: &Console) -> Option<String> {
    let text = frame::text(&drawn(console, 80, 24));
    let line = text.lines().find(|line| line.starts_with("── "))?;
    if line.contains("is gone") {
        return None;
    }
    line.trim_start_matches("── ").split(' ').next().map(str::to_owned)
}

fn asked(effects: &[Effect]) -> Option<(Verb, Id, String)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(_, Ask::VerbOn { verb, id, uid }) => Some((*verb, id.clone(), uid.clone())),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The picture changes after the last frame and before the key; the key still means what the person saw.
    #[test]
    fn no_key_ever_reaches_another_object(
        view in 0usize..4,
        steps in prop::collection::vec((0usize..12, 0u8..5, 0u8..4), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut objects = vec![source("fleet", REVISION, condition("Ready", "True", "Succeeded", "fetched"))];
            objects.extend((0..8).map(|name| ks(name, 1, 1, "True")));
            let stage = Stage::with(objects).await;
            let news = stage.desk.store.subscribe();
            let mut console = stage.console();
            type_into(&mut console, ["", "2", "2o", "!!"][view]);
            let mut at = Duration::from_secs(5_000);
            for (step, (name, what, key)) in (2u64..).zip(steps) {
                let shown = seen(&console);
                let uid = |name: &str| {
                    let entry = stage.desk.store.all().into_iter().find(|entry| entry.object.id.to_string() == name);
                    entry.map(|entry| entry.object.uid.to_string())
                };
                match what {
                    0 => stage.desk.store.remove(&[id(name)]),
                    // The same name again, and yet another object.
                    1 => drop(stage.desk.store.put(vec![ks(name, step, step, "True")])),
                    2 => drop(stage.desk.store.put(vec![ks(name, step, 1, "False")])),
                    _ => drop(stage.desk.store.put(vec![ks(name, step, 1, "True")])),
                }
                if let Some(changes) = news.try_take() {
                    console.update(Msg::Changed(changes));
                }
                // No frame was drawn since: the person acts on what they saw.
                let uid = shown.as_deref().and_then(uid);
                at += Duration::from_millis(200);
                let effects = console.update(Msg::Key(parse_script(["r", "s", "j", "k"][usize::from(key)]).unwrap()[0], at));
                if let Some((_, target, bound)) = asked(&effects) {
                    assert_eq!(Some(target.to_string()), shown);
                    assert_eq!(Some(bound), uid, "the object that the picture has under that name");
                }
                console.prepare();
            }
        });
    }
}

#[tokio::test]
async fn an_object_that_goes_away_under_the_cursor_takes_its_verbs_along() {
    let stage = Stage::with(vec![
        source("fleet", REVISION, condition("Ready", "True", "Succeeded", "fetched")),
        ks(0, 1, 1, "True"),
        ks(1, 1, 1, "True"),
    ])
    .await;
    let news = stage.desk.store.subscribe();
    for view in ["j", "2"] {
        stage.desk.store.put(vec![ks(0, 50, 1, "True")]);
        let mut console = stage.console();
        type_into(&mut console, view);
        stage.desk.store.remove(&[id(0)]);
        console.update(Msg::Changed(news.try_take().unwrap()));
        console.prepare();
        assert!(asked(&type_into(&mut console, "r")).is_none());
        let text = frame::text(&drawn(&console, 80, 24));
        assert!(text.contains("ks-00 is gone"), "{text}");
        assert_eq!(seen(&console), None);
        let (_, target, _) = asked(&type_into(&mut console, "kjr")).unwrap();
        assert_eq!(target, id(1));
    }
}

#[tokio::test]
async fn deleting_takes_the_name_and_a_moment() {
    let stage = Stage::fleet().await;
    let mut console = stage.console();
    assert!(asked(&type_into(&mut console, "jj<ctrl-d><enter>")).is_none(), "enter alone deletes nothing");
    assert!(asked(&type_into(&mut console, "infr<enter>")).is_none(), "nor does a part of the name");
    let pasted = console.update(Msg::Paste("a\n".into()));
    assert!(pasted.is_empty());
    // A letter and enter within a hundredth of a second: nobody typed that.
    let at = Duration::from_secs(9_000);
    let mut quick = console.update(Msg::Key(Key::char('a'), at));
    quick.extend(console.update(Msg::Key(parse_script("<enter>").unwrap()[0], at + Duration::from_millis(10))));
    assert!(asked(&quick).is_none());
    let later = at + Duration::from_millis(400);
    let effects = console.update(Msg::Key(parse_script("<enter>").unwrap()[0], later));
    let (verb, target, uid) = asked(&effects).expect("typed, and meant");
    assert_eq!((verb, &*target.name, &*uid), (Verb::Delete, "infra", "uid-Kustomization-infra"));
}

#[tokio::test]
async fn no_single_key_and_no_paste_writes_without_a_question() {
    let stage = Stage::fleet().await;
    let mut console = stage.console();
    for text in ["r\n", "s", "\x04", "jjjj\nr\n", &"x\n".repeat(50_000)] {
        assert!(console.update(Msg::Paste(text.to_owned())).is_empty(), "{text:?}");
    }
    let mut console = stage.console();
    for character in (' '..='~').filter(|character| !"rRsu".contains(*character)) {
        let effects = type_into(
            &mut console,
            &format!("0j{}", if character == '<' { "<lt>".into() } else { character.to_string() }),
        );
        assert!(asked(&effects).is_none(), "{character} writes");
        type_into(&mut console, "<esc><esc><esc><esc>");
    }
}

#[tokio::test]
async fn quitting_is_asked_once_and_leaves_nothing_half_done() {
    let stage = Stage::fleet().await;
    let mut console = stage.console();
    let quits = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Quit));
    assert!(!quits(&type_into(&mut console, "2q")), "q goes back first");
    assert!(!quits(&type_into(&mut console, "q")));
    assert!(quits(&type_into(&mut console, "q")));
    let mut console = stage.console();
    assert!(!quits(&type_into(&mut console, "q")));
    let late = console.update(Msg::Key(Key::char('q'), Duration::from_secs(99_999)));
    assert!(!quits(&late), "the first q was long ago");
}

#[tokio::test]
async fn closing_a_screen_cancels_what_it_waits_for_and_keeps_its_verbs() {
    let stage = Stage::fleet().await;
    let mut console = stage.console();
    let effects = type_into(&mut console, "jdr<esc>");
    let fetches: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Fetch(ticket, _) => Some(*ticket),
            _ => None,
        })
        .collect();
    let cancelled: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Cancel(ticket) => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(fetches, cancelled);
    let ticket = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Ask(ticket, _) => Some(*ticket),
            _ => None,
        })
        .unwrap();
    let outcome = weir::verbs::Outcome { message: weir::base::Text::new("apps is ready"), id: id(0) };
    console.update(Msg::Answer(ticket, Box::new(Answer::Done(Ok(outcome)))));
    console.prepare();
    let text = frame::text(&drawn(&console, 80, 24));
    assert!(text.contains("✓ apps is ready"), "{text}");
}
