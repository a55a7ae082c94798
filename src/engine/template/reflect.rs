//! Sprig's functions on types and kinds.
//!
//! Start with [`FUNCTIONS`]. Source: Masterminds/sprig (reflect.go).

use super::call::{Function, Type, text};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("typeOf", &[Type::Any], |_, args| Ok(args[0].type_name().into())),
    Function::new("typeIs", &[Type::Text, Type::Any], |_, args| Ok((text(args, 0) == args[1].type_name()).into())),
    Function::new("typeIsLike", &[Type::Text, Type::Any], |_, args| {
        let (wanted, is) = (text(args, 0), args[1].type_name());
        Ok((wanted == is || is.strip_prefix('*') == Some(&*wanted)).into())
    }),
    Function::new("kindOf", &[Type::Any], |_, args| Ok(args[0].kind_name().into())),
    Function::new("kindIs", &[Type::Text, Type::Any], |_, args| Ok((text(args, 0) == args[1].kind_name()).into())),
];
