//! Damaged inputs: bytes cut, doubled, swapped and put in where they do harm.

/// Pieces that steer a parser somewhere.
const PIECES: &[&str] = &[
    "&a ",
    "*a",
    "<<: *a\n",
    "{",
    "}",
    "[",
    "]",
    "- ",
    "? ",
    ": ",
    "\n",
    "\t",
    "|+\n",
    ">-\n",
    "---\n",
    "...\n",
    "!!binary ",
    "!!set ",
    "%YAML 1.1\n",
    "\"",
    "'",
    "\\x00",
    "\u{feff}",
    "\r\n",
    "18446744073709551616",
    "-0x8000000000000000",
    "1e999",
    "$patch: delete\n",
    "$patch: replace\n",
    "null",
    "~",
    "../",
    "/",
    "metadata:\n  name: x\n",
    "resources: [.]\n",
    "resources: ['..']\n",
    "$(A)",
    "$$",
    "[name=x]",
    "*",
    "-1",
    "path: /a/b/-\n",
    "op: copy\n",
    "\u{2028}",
    "é",
    "#",
    "@",
    "`",
    "create: true\n",
    "options: {index: -9223372036854775808}\n",
    "(((((((((a*)*)*)*)*)*)*)*)*",
    "[[:alpha:]]{1000}",
    "labelSelector: 'a in (b'\n",
    "items:\n- {}\n",
    "kind: List\n",
    "sha256:",
];

/// The bytes, damaged a few times; `below` gives a number below its argument.
pub fn damaged(bytes: &[u8], below: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut made = bytes.to_vec();
    for _ in 0..=below(4) {
        let from = below(made.len() + 1);
        let to = (from + below(40)).min(made.len());
        match below(7) {
            0 => drop(made.drain(from..to)),
            1 => {
                let piece = made[from..to].repeat(1 + below(6));
                made.splice(from..from, piece);
            }
            2 => {
                let byte = u8::try_from(below(256)).unwrap_or_default();
                made.insert(from, byte);
            }
            3 if from < to => made[from] ^= 1 << below(8),
            4 => {
                let piece = made[from..to].to_vec();
                let at = below(made.len() + 1);
                made.splice(at..at, piece);
            }
            _ => {
                let piece = PIECES[below(PIECES.len())].as_bytes();
                made.splice(from..from, piece.iter().copied());
            }
        }
    }
    made
}
