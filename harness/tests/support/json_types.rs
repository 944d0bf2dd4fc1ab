//! What goes to JSON, read from the sources: structs and enums with their doc comments and serde attributes.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Token, Type};

/// A struct or an enum that is written as JSON.
#[derive(Clone, Debug)]
pub(crate) struct JsonType {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) shape: JsonShape,
}

#[derive(Clone, Debug)]
pub(crate) enum JsonShape {
    /// An object.
    Object(Vec<JsonField>),
    /// One of some words.
    Words(Vec<(String, String)>),
    /// Objects that differ; `tag` is the key that names the variant. Without a tag its name is the only key.
    Variants { tag: Option<String>, variants: Vec<JsonVariant> },
}

#[derive(Clone, Debug)]
pub(crate) struct JsonVariant {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) fields: Vec<JsonField>,
    /// The type whose fields it has, in place of fields of its own.
    pub(crate) inner: Option<Type>,
}

#[derive(Clone, Debug)]
pub(crate) struct JsonField {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    /// Whether its fields stand in the object itself.
    pub(crate) is_flat: bool,
    /// Whether it may be left out.
    pub(crate) is_optional: bool,
    /// Whether a function of the code writes it: as text, here.
    pub(crate) is_text: bool,
}

/// All types by name, of these source folders.
#[derive(Debug, Default)]
pub(crate) struct JsonTypes(BTreeMap<String, JsonType>);

impl JsonTypes {
    pub(crate) fn read(folders: &[&str]) -> Self {
        let mut types = JsonTypes::default();
        for folder in folders {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
            for file in sources(&path) {
                let text = fs::read_to_string(&file).unwrap();
                let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                parsed.items.iter().for_each(|item| types.take(item));
            }
        }
        types
    }

    pub(crate) fn get(&self, name: &str) -> Option<&JsonType> {
        self.0.get(name)
    }

    fn take(&mut self, item: &Item) {
        let (name, attributes) = match item {
            Item::Struct(item) => (item.ident.to_string(), &item.attrs),
            Item::Enum(item) => (item.ident.to_string(), &item.attrs),
            _ => return,
        };
        let serde = Serde::of(attributes);
        if !is_serialized(attributes) {
            return;
        }
        let shape = match item {
            Item::Struct(item) if matches!(item.fields, Fields::Named(_)) => JsonShape::Object(fields(&item.fields)),
            Item::Enum(item) => {
                let variant = |variant: &syn::Variant| {
                    let own = Serde::of(&variant.attrs);
                    let inner = match &variant.fields {
                        Fields::Unnamed(fields) => fields.unnamed.first().map(|field| field.ty.clone()),
                        _ => None,
                    };
                    JsonVariant {
                        name: own.rename.unwrap_or_else(|| serde.cased(&variant.ident.to_string())),
                        doc: doc(&variant.attrs),
                        fields: fields(&variant.fields),
                        inner,
                    }
                };
                let variants: Vec<JsonVariant> = item.variants.iter().map(variant).collect();
                let is_plain = variants.iter().all(|variant| variant.fields.is_empty() && variant.inner.is_none());
                match is_plain && serde.tag.is_none() {
                    true => JsonShape::Words(variants.into_iter().map(|variant| (variant.name, variant.doc)).collect()),
                    false => JsonShape::Variants { tag: serde.tag.clone(), variants },
                }
            }
            _ => return,
        };
        let doc = doc(attributes);
        self.0.insert(name.clone(), JsonType { name, doc, shape });
    }
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(ending) if ending == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect();
    found.sort();
    found
}

fn is_serialized(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("derive") && list.tokens.to_string().contains("Serialize"),
        _ => false,
    })
}

/// The doc comment on one line, with links as plain code.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`").trim().to_owned()
}

fn fields(fields: &Fields) -> Vec<JsonField> {
    let Fields::Named(fields) = fields else { return Vec::new() };
    let field = |field: &syn::Field| {
        let serde = Serde::of(&field.attrs);
        let name = field.ident.as_ref().expect("it has a name").to_string();
        (!serde.skip).then(|| JsonField {
            name: serde.rename.unwrap_or_else(|| name.trim_start_matches("r#").to_owned()),
            doc: doc(&field.attrs),
            ty: field.ty.clone(),
            is_flat: serde.flatten,
            is_optional: serde.skip_if,
            is_text: serde.with,
        })
    };
    fields.named.iter().filter_map(field).collect()
}

/// Attributes of serde, as far as they change what is written.
#[derive(Debug, Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Option<String>,
    tag: Option<String>,
    flatten: bool,
    skip: bool,
    skip_if: bool,
    with: bool,
}

impl Serde {
    fn of(attributes: &[Attribute]) -> Self {
        let mut serde = Serde::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            let metas = attribute.parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated);
            for meta in metas.unwrap() {
                let text = match &meta {
                    Meta::NameValue(pair) => match &pair.value {
                        syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
                        _ => None,
                    },
                    _ => None,
                };
                match meta.path().get_ident().map(ToString::to_string).as_deref() {
                    Some("rename") => serde.rename = text,
                    Some("rename_all") => serde.rename_all = text,
                    Some("tag") => serde.tag = text,
                    Some("flatten") => serde.flatten = true,
                    Some("skip" | "skip_serializing") => serde.skip = true,
                    Some("skip_serializing_if") => serde.skip_if = true,
                    Some("serialize_with" | "with") => serde.with = true,
                    _ => {}
                }
            }
        }
        serde
    }

    fn cased(&self, name: &str) -> String {
        let words = |between: char| {
            let mut out = String::new();
            for letter in name.chars() {
                if letter.is_uppercase() && !out.is_empty() {
                    out.push(between);
                }
                out.extend(letter.to_lowercase());
            }
            out
        };
        match self.rename_all.as_deref() {
            Some("snake_case") => words('_'),
            Some("kebab-case") => words('-'),
            Some("lowercase") => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }
}

/// The outermost name of a type, with its parameters: `Option`, [`T`].
pub(crate) fn parts(ty: &Type) -> (String, Vec<Type>) {
    match ty {
        Type::Path(path) => {
            let last = path.path.segments.last().expect("a path has a name");
            let parameters = match &last.arguments {
                PathArguments::AngleBracketed(list) => list
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        GenericArgument::Type(ty) => Some(ty.clone()),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            (last.ident.to_string(), parameters)
        }
        Type::Array(array) => ("Vec".to_owned(), vec![(*array.elem).clone()]),
        Type::Reference(reference) => parts(&reference.elem),
        Type::Tuple(tuple) => ("tuple".to_owned(), tuple.elems.iter().cloned().collect()),
        other => panic!("a type of another sort: {other:?}"),
    }
}
