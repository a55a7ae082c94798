//! Settings, keymaps and themes: parsed, merged and checked. The cli hands in text; nothing here reads files.
