//! Rust files as the rules see them: where a file stands, and every path, function, enum and macro
//! named in it, those inside macro calls and attributes included.

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// One file of source.
pub(crate) struct Source {
    /// As shown in a complaint: `src/pipeline/decide.rs`.
    pub(crate) name: String,
    /// Where it stands in the crate: `["pipeline", "decide"]`; empty for `lib.rs` and `main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
    pub(crate) found: Found,
}

/// What the rules ask about.
#[derive(Default)]
pub(crate) struct Found {
    /// `use` trees are flattened; a glob ends with `*`. `depth` counts inline modules around it.
    pub(crate) paths: Vec<NamedPath>,
    /// Macros called, by their last segment.
    pub(crate) macros: Vec<String>,
    /// Names of `mod name;` declarations.
    pub(crate) declared: Vec<String>,
    /// Names of enums.
    pub(crate) enums: Vec<String>,
    /// Functions outside tests that return a `StageDecision` by value.
    pub(crate) judges: Vec<String>,
    /// What is async here, in words.
    pub(crate) asynchronous: Vec<&'static str>,
    depth: usize,
    in_test: bool,
}

/// A path as written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) segments: Vec<String>,
    /// How many inline modules stand around it.
    pub(crate) depth: usize,
}

impl Source {
    /// Parses a text as the file `name` with crate root folder `top` (`src`, `tests/it`).
    pub(crate) fn parse(top: &str, name: &str, text: &str) -> Result<Self, String> {
        let inside = name
            .strip_prefix(top)
            .unwrap_or(name)
            .trim_start_matches('/');
        let mut module: Vec<String> = inside
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if matches!(
            module.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            module.pop();
        }
        let file = syn::parse_file(text).map_err(|e| format!("{name}: {e}"))?;
        let mut found = Found::default();
        found.visit_file(&file);
        Ok(Self {
            name: name.to_owned(),
            module,
            text: text.to_owned(),
            found,
        })
    }

    /// Returns the room the file belongs to; `None` for `lib.rs` and `main.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// Does the file stand in one of these modules, or below one?
    pub(crate) fn is_in<'a>(&self, modules: impl IntoIterator<Item = &'a str>) -> bool {
        modules.into_iter().any(|place| {
            let place: Vec<&str> = place.split("::").collect();
            place.len() <= self.module.len() && place.iter().zip(&self.module).all(|(a, b)| a == b)
        })
    }
}

/// Reads every `.rs` file below `root/top`, sorted by name.
pub(crate) fn read_all(root: &Path, top: &str) -> Result<Vec<Source>, String> {
    files(&root.join(top), &|_| true)
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| {
            let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            Source::parse(top, &shown(root, path), &text)
        })
        .collect()
}

/// Returns `path` relative to `root`, with `/`.
pub(crate) fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

/// Returns all files below `dir`, sorted, not entering folders that `enter` refuses.
pub(crate) fn files(dir: &Path, enter: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_symlink() {
        } else if path.is_dir() {
            if enter(&path) {
                out.extend(files(&path, enter));
            }
        } else {
            out.push(path);
        }
    }
    out
}

impl Found {
    fn path(&mut self, segments: Vec<String>) {
        self.paths.push(NamedPath {
            segments,
            depth: self.depth,
        });
    }

    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.path(with(name.ident.to_string())),
            syn::UseTree::Rename(name) => self.path(with(name.ident.to_string())),
            syn::UseTree::Glob(_) => self.path(with("*".to_owned())),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(prefix, tree);
                }
            }
        }
    }

    /// Paths of two and more segments in tokens that are no parsed syntax.
    fn tokens(&mut self, tokens: &str) {
        // Tokens print with or without blanks around `::`, depending on where they come from.
        let mut text = tokens.to_owned();
        for spaced in [" ::", ":: "] {
            while text.contains(spaced) {
                text = text.replace(spaced, "::");
            }
        }
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for word in text.split(|c: char| !is_path(c)) {
            let segments: Vec<String> = word.split("::").map(str::to_owned).collect();
            if 2 <= segments.len() && segments.iter().all(|s| !s.is_empty() && !s.contains(':')) {
                self.path(segments);
            }
        }
        if tokens.contains(".await") || tokens.contains(". await") {
            self.asynchronous.push("`.await` in a macro");
        }
    }

    fn function(&mut self, attrs: &[syn::Attribute], signature: &syn::Signature) {
        if signature.asyncness.is_some() {
            self.asynchronous.push("an `async fn`");
        }
        let is_test = self.in_test || attrs.iter().any(|a| a.path().is_ident("test"));
        if let (false, syn::ReturnType::Type(_, ty)) = (is_test, &signature.output)
            && owns_decision(ty)
        {
            self.judges.push(signature.ident.to_string());
        }
    }
}

/// Is this `StageDecision`, or one wrapped in a `Result`, an `Option` or the like? References and
/// collections are answers given earlier, not judgements.
fn owns_decision(ty: &syn::Type) -> bool {
    let syn::Type::Path(path) = ty else {
        return false;
    };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    if last.ident == "StageDecision" {
        return true;
    }
    let wraps = ["Result", "Option", "Box", "Arc"]
        .iter()
        .any(|name| last.ident == name);
    match &last.arguments {
        syn::PathArguments::AngleBracketed(args) if wraps => {
            args.args.iter().any(|arg| match arg {
                syn::GenericArgument::Type(inner) => owns_decision(inner),
                _ => false,
            })
        }
        _ => false,
    }
}

fn is_cfg_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|a| {
        a.path().is_ident("cfg")
            && matches!(&a.meta, syn::Meta::List(list) if list.tokens.to_string().trim() == "test")
    })
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(last) = call.path.segments.last() {
            self.macros.push(last.ident.to_string());
        }
        self.tokens(&call.tokens.to_string());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(&list.tokens.to_string());
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_none() {
            self.declared.push(item.ident.to_string());
            return visit::visit_item_mod(self, item);
        }
        let outer = self.in_test;
        self.in_test |= is_cfg_test(&item.attrs);
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
        self.in_test = outer;
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.enums.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.attrs, &item.sig);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_async(&mut self, expr: &'ast syn::ExprAsync) {
        self.asynchronous.push("an `async` block");
        visit::visit_expr_async(self, expr);
    }

    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        self.asynchronous.push("an `.await`");
        visit::visit_expr_await(self, expr);
    }
}
