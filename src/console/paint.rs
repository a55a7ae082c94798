//! Colours YAML: syntect's grammar, our roles. The grammar is loaded when it is first needed, on a blocking thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};

use super::look::Role;
use super::message::PaintedLine;

/// More is not coloured: nobody reads it all, and the grammar is not fast.
const MOST_BYTES: usize = 512 * 1024;
/// Longer lines are not coloured.
const LONGEST_LINE: usize = 4 * 1024;

/// The grammar, once loaded.
#[derive(Default)]
pub struct Painter {
    set: OnceLock<SyntaxSet>,
    /// Counts the texts that were begun: an older one stops when it sees a newer, so that fast typing piles nothing up.
    begun: AtomicU64,
}

impl Painter {
    /// The lengths and roles of each line's parts; lines past the limits have none.
    pub fn paint(&self, text: &str) -> Vec<PaintedLine> {
        let mine = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let set = self.set.get_or_init(SyntaxSet::load_defaults_newlines);
        let Some(syntax) = set.find_syntax_by_extension("yaml") else { return Vec::new() };
        let roles = Roles::new();
        let mut state = ParseState::new(syntax);
        let mut stack = ScopeStack::new();
        let mut read = 0;
        let mut lines = Vec::new();
        for line in text.split_inclusive('\n') {
            read += line.len();
            if read > MOST_BYTES || self.begun.load(Ordering::Relaxed) != mine {
                break;
            }
            let shown = line.trim_end_matches('\n').len();
            if shown > LONGEST_LINE {
                lines.push(Vec::new());
                continue;
            }
            let Ok(steps) = state.parse_line(line, set) else { break };
            let mut painted = PaintedLine::new();
            let mut at = 0;
            for (next, step) in steps {
                push(&mut painted, next.min(shown).saturating_sub(at), roles.of(&stack));
                at = next.min(shown).max(at);
                if stack.apply(&step).is_err() {
                    break;
                }
            }
            push(&mut painted, shown.saturating_sub(at), roles.of(&stack));
            lines.push(painted);
        }
        lines
    }
}

fn push(line: &mut PaintedLine, length: usize, role: Role) {
    match line.last_mut() {
        Some((last, same)) if *same == role => *last += length,
        _ if length > 0 => line.push((length, role)),
        _ => {}
    }
}

/// Which scopes have which role; the innermost that is known wins.
struct Roles(Vec<(Scope, Role)>);

impl Roles {
    fn new() -> Self {
        let pairs = [
            ("comment", Role::YamlComment),
            ("entity.name.tag", Role::YamlKey),
            ("meta.mapping.key", Role::YamlKey),
            ("string", Role::YamlString),
            ("constant.numeric", Role::YamlNumber),
            ("constant", Role::YamlConstant),
            ("punctuation.definition.comment", Role::YamlComment),
            ("punctuation.definition.string", Role::YamlString),
            ("punctuation", Role::YamlMark),
            ("keyword", Role::YamlMark),
            ("entity", Role::YamlConstant),
            ("variable", Role::YamlConstant),
        ];
        Roles(pairs.into_iter().filter_map(|(name, role)| Some((Scope::new(name).ok()?, role))).collect())
    }

    fn of(&self, stack: &ScopeStack) -> Role {
        let role = |scope: &Scope| self.0.iter().find(|(known, _)| known.is_prefix_of(*scope)).map(|(_, role)| *role);
        stack.as_slice().iter().rev().find_map(role).unwrap_or(Role::YamlString)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_values_and_comments_have_their_roles() {
        let text = "kind: Pod # a comment\nspec:\n  replicas: 3\n  on: true\n  name: \"é\"\n";
        let lines = Painter::default().paint(text);
        for (line, painted) in text.lines().zip(&lines) {
            assert_eq!(painted.iter().map(|(length, _)| length).sum::<usize>(), line.len(), "{line}");
        }
        let role = |line: usize, part: &str| {
            let at = text.lines().nth(line).and_then(|text| text.find(part)).unwrap();
            let mut end = 0;
            lines[line]
                .iter()
                .find(|(length, _)| {
                    end += length;
                    end > at
                })
                .map(|(_, role)| *role)
        };
        assert_eq!(role(0, "kind"), Some(Role::YamlKey));
        assert_eq!(role(0, "Pod"), Some(Role::YamlString));
        assert_eq!(role(0, "# a"), Some(Role::YamlComment));
        assert_eq!(role(2, "3"), Some(Role::YamlNumber));
        assert_eq!(role(3, "true"), Some(Role::YamlConstant));
        assert_eq!(role(2, "replicas"), Some(Role::YamlKey));
    }

    #[test]
    fn what_is_too_long_is_left_plain() {
        let lines = Painter::default().paint(&format!("a: {}\nb: 1\n", "x".repeat(LONGEST_LINE)));
        assert!(lines[0].is_empty() && !lines[1].is_empty());
    }
}
