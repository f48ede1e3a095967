//! Users of the tracking server, their roles and tokens. Passwords and tokens themselves are nowhere:
//! only what recognises them. Imports: base, db, error.

use std::fmt;
use std::str::FromStr;

use rusqlite::Row;

use crate::base::clock::Timestamp;
use crate::base::diag;
use crate::base::secret::Mark;
use crate::track::error::Error;

use super::{Reader, Writing, time};

/// Longest name of a user, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Fewest digits by which a token is named.
pub const TOKEN_DIGITS_MIN: usize = 4;

/// What a user may do; each role may also do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Record runs, register models.
    Write,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or(BadRole)
    }
}

/// A text is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be `read`, `write` or `admin`")]
pub struct BadRole;

/// The name of a user: letters and digits of any script, `.`, `_`, `-`, `@`, `+`; at most 64 bytes.
/// No colon: HTTP's basic authentication (RFC 7617) could not carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(text: &str) -> Result<Self, BadUserName> {
        let known = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
        let whole = (1..=NAME_BYTES_MAX).contains(&text.len());
        if whole && text.chars().all(known) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadUserName)
        }
    }
}

/// A text is no name of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user's name has letters, digits and `.`, `_`, `-`, `@`, `+`, at most {NAME_BYTES_MAX} of them"
)]
pub struct BadUserName;

/// A hashed password, as a PHC string (`$argon2id$…`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string.
    #[must_use]
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// Returns the PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A hash tells enough to try passwords at leisure: it belongs in no log.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Somebody who may use the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// What they may do.
    pub role: Role,
}

/// A user with what is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The hashed password; without one only tokens open the door.
    pub password: Option<PasswordHash>,
    /// How many tokens they have, expired ones among them.
    pub tokens: u32,
    /// Since when they are known.
    pub created: Timestamp,
}

/// A token, which stands for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What recognises it.
    pub mark: Mark,
    /// Whose it is.
    pub user: UserName,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worth nothing.
    pub expires: Option<Timestamp>,
}

impl Token {
    /// Returns the first eight digits of its mark, by which people name it.
    #[must_use]
    pub fn id(&self) -> String {
        let mut digits = self.mark.to_string();
        digits.truncate(8);
        digits
    }
}

/// A token and what its user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Whose token it is.
    pub user: User,
    /// From when on it is worth nothing.
    pub expires: Option<Timestamp>,
}

const ACCOUNT: &str = "SELECT name, role, password, created_ms,
    (SELECT count(*) FROM tokens WHERE user = name) FROM users";

impl Reader<'_> {
    /// Is anybody known at all?
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_users(&self) -> Result<bool, Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM users)";
        Ok(self.row(sql, &[], |row| row.get(0))?.unwrap_or(false))
    }

    /// Returns all users by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn accounts(&self) -> Result<Vec<Account>, Error> {
        let sql = format!("{ACCOUNT} ORDER BY name");
        let rows = self.rows(&sql, &[], raw_account)?;
        rows.into_iter().map(RawAccount::checked).collect()
    }

    /// Returns the user of this name, if there is one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn find_account(&self, name: &str) -> Result<Option<Account>, Error> {
        let sql = format!("{ACCOUNT} WHERE name = ?1");
        let row = self.row(&sql, &[&name], raw_account)?;
        row.map(RawAccount::checked).transpose()
    }

    /// Returns the user of this name.
    ///
    /// # Errors
    /// There is none, or the database cannot be read.
    pub fn account(&self, name: &UserName) -> Result<Account, Error> {
        match self.find_account(name.as_str())? {
            Some(account) => Ok(account),
            None => Err(self.unknown_user(name)?),
        }
    }

    fn unknown_user(&self, name: &UserName) -> Result<Error, Error> {
        let accounts = self.accounts()?;
        let known = accounts.iter().map(|one| one.user.name.as_str());
        Ok(Error::UnknownUser {
            name: name.to_string(),
            nearest: diag::nearest(name.as_str(), known).map(str::to_owned),
        })
    }

    /// Returns whom this token stands for, expired or not.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn bearer(&self, token: &Mark) -> Result<Option<Bearer>, Error> {
        let sql =
            "SELECT u.name, u.role, t.expires_ms FROM tokens t JOIN users u ON u.name = t.user
            WHERE t.hash = ?1";
        let row = self.row(sql, &[&token.as_bytes()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<i64>>(2)?,
            ))
        })?;
        let Some((name, role, expires_ms)) = row else {
            return Ok(None);
        };
        Ok(Some(Bearer {
            user: user(&name, &role)?,
            expires: expires_ms.map(time).transpose()?,
        }))
    }

    /// Returns all tokens by user, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        let sql = "SELECT hash, user, label, created_ms, expires_ms FROM tokens
            ORDER BY user, created_ms, hash";
        let rows = self.rows(sql, &[], |row| {
            Ok((
                row.get::<_, [u8; 32]>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, Option<i64>>(4)?,
            ))
        })?;
        let token = |(mark, user, label, created_ms, expires_ms): (_, String, _, _, Option<_>)| {
            Ok(Token {
                mark: Mark::from_bytes(mark),
                user: user_name(&user)?,
                label,
                created: time(created_ms)?,
                expires: expires_ms.map(time).transpose()?,
            })
        };
        rows.into_iter().map(token).collect()
    }

    /// Returns the token whose mark begins with these digits.
    ///
    /// # Errors
    /// None does, or several do; or the database cannot be read.
    pub fn token(&self, digits: &str) -> Result<Token, Error> {
        let wanted = digits.to_ascii_lowercase();
        let long_enough = TOKEN_DIGITS_MIN <= wanted.len();
        let mut fitting = self.tokens()?;
        fitting.retain(|token| long_enough && token.mark.to_string().starts_with(&wanted));
        let text = digits.to_owned();
        match (fitting.pop(), fitting.len()) {
            (Some(token), 0) => Ok(token),
            (Some(_), more) => Err(Error::AmbiguousToken {
                text,
                count: more + 1,
            }),
            (None, _) => Err(Error::UnknownToken { text }),
        }
    }
}

impl Writing<'_> {
    /// Adds a user; without a password only tokens open the door for them.
    ///
    /// # Errors
    /// The name is taken, or the database cannot be written.
    pub fn add_user(
        &self,
        user: &User,
        password: Option<&PasswordHash>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO users (name, role, password, created_ms)
            VALUES (?1, ?2, ?3, ?4)";
        let (name, role) = (user.name.as_str(), user.role.as_str());
        let password = password.map(PasswordHash::as_str);
        match self.execute(sql, &[&name, &role, &password, &now_ms])? {
            0 => Err(Error::UserExists {
                name: name.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Gives a user another role.
    ///
    /// # Errors
    /// There is no such user, or the database cannot be written.
    pub fn set_role(&self, name: &UserName, role: Role) -> Result<(), Error> {
        let sql = "UPDATE users SET role = ?2 WHERE name = ?1";
        let changed = self.execute(sql, &[&name.as_str(), &role.as_str()])?;
        self.known(changed, name)
    }

    /// Gives a user another password, or none.
    ///
    /// # Errors
    /// There is no such user, or the database cannot be written.
    pub fn set_password(
        &self,
        name: &UserName,
        password: Option<&PasswordHash>,
    ) -> Result<(), Error> {
        let sql = "UPDATE users SET password = ?2 WHERE name = ?1";
        let password = password.map(PasswordHash::as_str);
        let changed = self.execute(sql, &[&name.as_str(), &password])?;
        self.known(changed, name)
    }

    /// Removes a user with their tokens; what they recorded stays.
    ///
    /// # Errors
    /// There is no such user, or the database cannot be written.
    pub fn remove_user(&self, name: &UserName) -> Result<(), Error> {
        let changed = self.execute("DELETE FROM users WHERE name = ?1", &[&name.as_str()])?;
        self.known(changed, name)
    }

    fn known(&self, changed: usize, name: &UserName) -> Result<(), Error> {
        if changed == 0 {
            return Err(self.unknown_user(name)?);
        }
        Ok(())
    }

    /// Adds a token of a user.
    ///
    /// # Errors
    /// There is no such user, or the database cannot be written.
    pub fn add_token(&self, token: &Token) -> Result<(), Error> {
        self.account(&token.user)?;
        let sql = "INSERT INTO tokens (hash, user, label, created_ms, expires_ms)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let created_ms = token.created.as_millisecond();
        let expires_ms = token.expires.map(Timestamp::as_millisecond);
        self.execute(
            sql,
            &[
                &token.mark.as_bytes(),
                &token.user.as_str(),
                &token.label,
                &created_ms,
                &expires_ms,
            ],
        )?;
        Ok(())
    }

    /// Removes a token; one that is gone already is no error.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn remove_token(&self, mark: &Mark) -> Result<(), Error> {
        self.execute("DELETE FROM tokens WHERE hash = ?1", &[&mark.as_bytes()])?;
        Ok(())
    }
}

struct RawAccount {
    name: String,
    role: String,
    password: Option<String>,
    created_ms: i64,
    tokens: u32,
}

fn raw_account(row: &Row<'_>) -> rusqlite::Result<RawAccount> {
    Ok(RawAccount {
        name: row.get(0)?,
        role: row.get(1)?,
        password: row.get(2)?,
        created_ms: row.get(3)?,
        tokens: row.get(4)?,
    })
}

impl RawAccount {
    fn checked(self) -> Result<Account, Error> {
        Ok(Account {
            user: user(&self.name, &self.role)?,
            password: self.password.map(PasswordHash),
            tokens: self.tokens,
            created: time(self.created_ms)?,
        })
    }
}

fn user(name: &str, role: &str) -> Result<User, Error> {
    let role = role.parse().map_err(|BadRole| Error::BadRecord {
        what: format!("the role `{role}`"),
    })?;
    let name = user_name(name)?;
    Ok(User { name, role })
}

fn user_name(text: &str) -> Result<UserName, Error> {
    text.parse().map_err(|BadUserName| Error::BadRecord {
        what: format!("the user `{text}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Tracking;

    fn named(text: &str) -> UserName {
        text.parse().unwrap()
    }

    fn record() -> (tempfile::TempDir, Tracking) {
        let dir = tempfile::tempdir().unwrap();
        let tracking = Tracking::open_at(dir.path().join("tracking.db")).unwrap();
        (dir, tracking)
    }

    fn token(user: &str, secret: &str) -> Token {
        Token {
            mark: Mark::of(secret.as_bytes()),
            user: named(user),
            label: "laptop".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            expires: None,
        }
    }

    #[test]
    fn names_of_users() {
        for good in [
            "ada",
            "Ada.L",
            "a_b-c+d@example.org",
            "zoé",
            "7",
            &"x".repeat(64),
        ] {
            assert_eq!(named(good).as_str(), good);
        }
        for bad in ["", "a b", "a:b", "-a", "a\n", "a/b", "a'b", &"x".repeat(65)] {
            assert_eq!(bad.parse::<UserName>(), Err(BadUserName), "{bad}");
        }
    }

    #[test]
    fn a_user_goes_with_their_tokens() {
        let (_dir, mut record) = record();
        assert!(!record.reader().has_users().unwrap());
        let ada = User {
            name: named("ada"),
            role: Role::Write,
        };
        let hash = PasswordHash::from_phc("$argon2id$".to_owned());
        record.change(|w| w.add_user(&ada, Some(&hash), 7)).unwrap();
        let again = record.change(|w| w.add_user(&ada, None, 8));
        assert!(matches!(again, Err(Error::UserExists { .. })));
        record.change(|w| w.add_token(&token("ada", "s"))).unwrap();
        let of_nobody = record.change(|w| w.add_token(&token("eda", "t")));
        let Err(Error::UnknownUser { nearest, .. }) = of_nobody else {
            panic!("{of_nobody:?}");
        };
        assert_eq!(nearest.as_deref(), Some("ada"));

        let account = record.reader().account(&ada.name).unwrap();
        assert_eq!((account.tokens, account.created.as_millisecond()), (1, 7));
        assert_eq!(account.password, Some(hash));
        let bearer = record.reader().bearer(&Mark::of(b"s")).unwrap().unwrap();
        assert_eq!((&bearer.user, bearer.expires), (&ada, None));
        assert_eq!(record.reader().bearer(&Mark::of(b"x")).unwrap(), None);

        record
            .change(|w| {
                w.set_role(&ada.name, Role::Admin)?;
                w.set_password(&ada.name, None)
            })
            .unwrap();
        let account = record.reader().find_account("ada").unwrap().unwrap();
        assert_eq!((account.user.role, account.password), (Role::Admin, None));

        record.change(|w| w.remove_user(&ada.name)).unwrap();
        assert_eq!(record.reader().tokens().unwrap(), []);
        let gone = record.change(|w| w.remove_user(&ada.name));
        assert!(matches!(gone, Err(Error::UnknownUser { .. })));
    }

    #[test]
    fn tokens_are_named_by_their_first_digits() {
        let (_dir, mut record) = record();
        let ada = User {
            name: named("ada"),
            role: Role::Read,
        };
        record.change(|w| w.add_user(&ada, None, 0)).unwrap();
        let mut marks = [[0xab; 32], [0xab; 32], [0xcd; 32]];
        marks[1][31] = 0;
        for mark in marks {
            let mark = Mark::from_bytes(mark);
            let token = Token {
                mark,
                ..token("ada", "")
            };
            record.change(|w| w.add_token(&token)).unwrap();
        }
        let reader = record.reader();
        assert_eq!(reader.token("CDCD").unwrap().id(), "cdcdcdcd");
        let several = reader.token("abab");
        assert!(matches!(
            several,
            Err(Error::AmbiguousToken { count: 2, .. })
        ));
        for none in ["", "cd", "%", "ffff"] {
            let found = reader.token(none);
            assert!(matches!(found, Err(Error::UnknownToken { .. })), "{none}");
        }
        record
            .change(|w| w.remove_token(&Mark::from_bytes([0xcd; 32])))
            .unwrap();
        assert_eq!(record.reader().tokens().unwrap().len(), 2);
    }
}
