//! How tables are declared.

/// Declares tables of the file: the struct, its decoder and its JSON Schema from one list
/// of keys. `also [key]` are keys that the surrounding type reads.
macro_rules! tables {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $(also [$($also:literal),*])? {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )*
        }
    )*) => {$(
        #[derive(Clone, Debug, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                tree: &$crate::tree::Tree,
                d: &mut $crate::decode::Decoder,
            ) -> Option<Self> {
                let known = [$($crate::file::tables::key(stringify!($field)),)* $($($also,)*)?];
                let entries = d.table(tree, &known)?;
                // All keys are read before one of them ends it, so that all problems are seen.
                $( let $field =
                    entries.field::<$type>($crate::file::tables::key(stringify!($field)), d); )*
                Some($name { $( $field: $field?, )* })
            }
        }
    )*};
}

/// The key of a field whose name may be a raw identifier.
pub(crate) fn key(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}
