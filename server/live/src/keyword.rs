//! Keywords of lotteries: what, said in a room, belongs to one.

use common::Outcome;
use idl::access::Identity;
use idl::live::{EndKeyword, RoomKeyword, SetKeyword};
use idl::user::Done;
use idl::{Code, Refusal};

use crate::change::Told;
use crate::role::Deed;
use crate::store::keyword as table;
use crate::{Core, text};

/// Every post is compared with all of a room's keywords.
const MAX_KEYWORDS: usize = 50;

impl Core {
    /// Gives a lottery its keyword, unless it has one, or another lottery has this one.
    /// Viewers are told of it by the lottery, not by the room.
    pub(crate) async fn set_keyword(&self, who: &Identity, asked: &SetKeyword) -> Outcome<Done> {
        let form = text::keyword(&asked.keyword)?;
        let mut change = self.change(asked.room, who, Deed::Run).await?;
        let now = self.platform.clock.now();
        if asked.until <= now {
            return Ok(Done {});
        }
        let keywords = table::keywords(&mut *change.tx, asked.room, now).await?;
        if keywords.iter().any(|keyword| keyword.lottery == asked.lottery) {
            return Ok(Done {});
        }
        // Compared here, not by the database, whose collation may take two forms for one.
        if let Some(other) = keywords.iter().find(|keyword| keyword.form == form) {
            let detail = format!("lottery {} of this room has this keyword", other.lottery);
            return Err(Refusal::new(Code::KeywordTaken, detail).into());
        }
        if keywords.len() >= MAX_KEYWORDS {
            return Err(Refusal::new(Code::LimitReached, format!("a room has at most {MAX_KEYWORDS} keywords")).into());
        }
        table::sweep_room(&mut change.tx, asked.room, now).await?;
        let keyword = RoomKeyword { lottery: asked.lottery, form, until: asked.until };
        table::insert(&mut change.tx, asked.room, &keyword).await?;
        self.finish(change, Told::Nothing).await?;
        Ok(Done {})
    }

    /// Ends a lottery's keyword; there need not be one.
    pub(crate) async fn end_keyword(&self, asked: &EndKeyword) -> Outcome<Done> {
        let mut change = self.change_for_service(asked.room).await?;
        if table::delete(&mut change.tx, asked.room, asked.lottery).await? {
            self.finish(change, Told::Nothing).await?;
        }
        Ok(Done {})
    }
}
