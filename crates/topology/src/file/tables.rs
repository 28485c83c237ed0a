//! How tables are declared.

use crate::decode::{Decoder, Entries};

/// A table of the file, or a part that several tables have: its keys, and how they are read.
pub(crate) trait Table: Sized {
    /// Every key.
    fn keys() -> Vec<&'static str>;

    /// Reads the keys. All of them are read before one of them ends it, so that all problems are
    /// seen.
    fn fields(entries: &Entries<'_>, d: &mut Decoder) -> Option<Self>;
}

impl<T: Table> Table for Box<T> {
    fn keys() -> Vec<&'static str> {
        T::keys()
    }

    fn fields(entries: &Entries<'_>, d: &mut Decoder) -> Option<Self> {
        T::fields(entries, d).map(Box::new)
    }
}

/// Declares tables of the file: the struct, its decoder and its JSON Schema from one list
/// of keys. `also [key]` are keys that the surrounding type reads, `with part: Type` are the keys of
/// another table that stand in this one, too.
macro_rules! tables {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $(also [$($also:literal),*])? {
            $( with $part:ident: $part_type:ty, )*
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )*
        }
    )*) => {$(
        #[derive(Clone, Debug, schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $( #[doc = "Keys that other tables have, too."] #[serde(flatten)]
               pub $part: $part_type, )*
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::file::tables::Table for $name {
            fn keys() -> Vec<&'static str> {
                let parts: &[Vec<&'static str>] =
                    &[$( <$part_type as $crate::file::tables::Table>::keys(), )*];
                let own: &[&'static str] = &[
                    $( $crate::file::tables::key(stringify!($field)), )*
                    $($( $also, )*)?
                ];
                [parts.concat().as_slice(), own].concat()
            }

            #[allow(unused_variables, reason = "not every table has keys of its own")]
            fn fields(
                entries: &$crate::decode::Entries<'_>,
                d: &mut $crate::decode::Decoder,
            ) -> Option<Self> {
                $( let $part = <$part_type as $crate::file::tables::Table>::fields(entries, d); )*
                $( let $field =
                    entries.field::<$type>($crate::file::tables::key(stringify!($field)), d); )*
                Some($name { $( $part: $part?, )* $( $field: $field?, )* })
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                tree: &$crate::tree::Tree,
                d: &mut $crate::decode::Decoder,
            ) -> Option<Self> {
                let known = <Self as $crate::file::tables::Table>::keys();
                let entries = d.table(tree, &known)?;
                <Self as $crate::file::tables::Table>::fields(&entries, d)
            }

            fn stand_in(span: $crate::diagnostic::Span) -> Option<Self> {
                let (none, mut unheard) = ($crate::decode::Entries::none(span), Default::default());
                <Self as $crate::file::tables::Table>::fields(&none, &mut unheard)
            }
        }
    )*};
}

/// Declares the tables of which the key `$key` says which one it is.
macro_rules! tagged {
    (
        $(#[$meta:meta])*
        pub enum $name:ident by $key:literal {
            $( $(#[$word_meta:meta])* $word:literal => $variant:ident($table:ty), )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, schemars::JsonSchema)]
        #[serde(tag = $key)]
        pub enum $name {
            $( $(#[$word_meta])* #[serde(rename = $word)] $variant($table), )*
        }

        impl $name {
            /// The words that the key may have.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),*];
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                tree: &$crate::tree::Tree,
                d: &mut $crate::decode::Decoder,
            ) -> Option<Self> {
                let words = $name::WORDS;
                let known = [$( <$table as $crate::file::tables::Table>::keys() ),*].concat();
                let (given, tree) = d.tag(tree, $key, words, &known)?;
                let tree = tree.as_ref();
                let mut word = given.as_str();
                if !words.contains(&word) && !word.is_empty() {
                    let right = $crate::diagnostic::not_a_word(word, words);
                    d.report(given.span, format!("{} {right}", $key));
                    word = $crate::diagnostic::misspelt(word, words)?;
                }
                match word {
                    $( $word => $crate::decode::Decode::decode(tree, d).map($name::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

/// The key of a field whose name may be a raw identifier.
pub(crate) fn key(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}
