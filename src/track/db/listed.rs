//! Many things at once, each with what belongs to it, by few statements. A statement goes through a
//! list (`FROM json_each(?1) j CROSS JOIN …`) and says in its first column whose row it is (`j.key`).
//! Imports: error, rusqlite.

use rusqlite::Row;

use crate::track::error::Error;

use super::Reader;

/// Things of a list, in its order.
pub(super) struct Listed<'r, T> {
    reader: Reader<'r>,
    /// The list as JSON.
    list: String,
    /// Where in `items` an entry of the list is; `None`: there is no such thing.
    places: Vec<Option<usize>>,
    items: Vec<T>,
}

impl<'r, T> Listed<'r, T> {
    /// Reads the things of `list` that there are.
    pub(super) fn read<K: serde::Serialize>(
        reader: Reader<'r>,
        list: &[K],
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Self, Error> {
        let mut listed = Self {
            reader,
            list: serde_json::json!(list).to_string(),
            places: vec![None; list.len()],
            items: Vec::with_capacity(list.len()),
        };
        let rows = reader.rows(sql, &[&listed.list], |row| {
            Ok((row.get::<_, i64>(0)?, read(row)?))
        })?;
        for (key, item) in rows {
            let place = usize::try_from(key)
                .ok()
                .and_then(|key| listed.places.get_mut(key));
            if let Some(place) = place {
                *place = Some(listed.items.len());
                listed.items.push(item);
            }
        }
        Ok(listed)
    }

    /// Reads what belongs to the things.
    pub(super) fn add(
        &mut self,
        sql: &str,
        mut add: impl FnMut(&mut T, &Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let (places, items) = (&self.places, &mut self.items);
        self.reader.rows(sql, &[&self.list], |row| {
            let key = usize::try_from(row.get::<_, i64>(0)?).ok();
            let place = key.and_then(|key| places.get(key).copied().flatten());
            match place.and_then(|place| items.get_mut(place)) {
                Some(item) => add(item, row),
                None => Ok(()),
            }
        })?;
        Ok(())
    }

    /// Returns the things.
    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}
