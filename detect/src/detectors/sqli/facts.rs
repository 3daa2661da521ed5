//! What the grammar learned about a value: the material of the verdict.

/// What a value turned out to be made of, up to where it stopped being SQL.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Logic operators between operands.
    pub(super) logic: u16,
    /// Comparisons without a plain name on either side, or with a function or sub-select.
    pub(super) hard: u16,
    /// A comparison of such kind was begun, and reading stopped within a call.
    pub(super) cut: bool,
    /// The value ended behind a comparison, of a constant on its left side.
    pub(super) open_hard: bool,
    /// The value ended behind a comparison.
    pub(super) open: bool,
    /// The value ended right behind the parenthesis of a call of a function that databases have.
    pub(super) open_call: bool,
    /// Comparisons of a name with a constant.
    pub(super) half: u16,
    /// One of them has the name on the left: `id=1`.
    pub(super) assigned: bool,
    /// Comparisons of names.
    pub(super) soft: u16,
    /// Terms beside a logic operator that are a number, `null` or `true`.
    pub(super) constants: u16,
    /// Terms beside a logic operator that are a string.
    pub(super) texts: u16,
    /// Terms beside a logic operator that are a name.
    pub(super) names: u16,
    /// Terms beside a logic operator that are a call of a function databases have.
    pub(super) calls: u16,
    /// Comparisons without a name within a call of a function databases have: `elt(1=1,2)`.
    pub(super) tested: u16,
    /// Comparisons without a name in parentheses: `(1=1)*2`.
    pub(super) grouped: u16,
    /// Calls of functions that databases have, wherever they stand.
    pub(super) functions: u16,
    /// Calls within calls that take data apart: `ascii(substr(...))`.
    pub(super) probes: u16,
    /// Branches of `case` expressions.
    pub(super) cases: u16,
    /// Calls of functions that delay, read, write or run.
    pub(super) danger: u16,
    /// Binary operators of arithmetic, bits or strings.
    pub(super) arithmetic: u16,
    /// Parentheses closed that the value did not open.
    pub(super) closes: u16,
    /// Commas outside parentheses.
    pub(super) commas: u16,
    /// Statements ended with `;`.
    pub(super) semicolons: u16,
    /// An operand was a name.
    pub(super) named: bool,
    /// A name was compared with itself.
    pub(super) same: bool,
    /// Words such as `binary` stood before operands.
    pub(super) prefixed: bool,
    /// Casts with `::`.
    pub(super) casts: u16,
    /// How far a union got.
    pub(super) union: Union,
    /// What the selects hold.
    pub(super) select: Select,
    /// Clauses behind the expression.
    pub(super) clauses: Clauses,
    /// A catalogue was named where a table or column belongs.
    pub(super) catalogue: bool,
    /// A column or table that attackers want was named.
    pub(super) sensitive: bool,
    /// A name that is no word of prose was read.
    pub(super) technical: bool,
    /// A variable was read.
    pub(super) variable: bool,
    /// The statement the value starts with.
    pub(super) opening: Statement,
    /// The statement behind a `;`, or run on as SQL Server allows.
    pub(super) stacked: Statement,
    /// Where reading stopped.
    pub(super) stop: Stop,
    /// The offset at which reading stopped.
    pub(super) end: usize,
}

/// How far a union got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Union {
    /// None was read.
    #[default]
    Absent,
    /// The word with nothing that belongs behind it.
    Begun,
    /// `union select`.
    Select,
    /// `union all select`, `union (select`.
    Exact,
}

/// What the selects hold, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Select {
    /// Selects begun.
    pub(super) count: u16,
    /// Selects in parentheses.
    pub(super) nested: u16,
    /// Items of select lists.
    pub(super) items: u16,
    /// Items that no prose has: numbers without a noun behind, strings, calls, variables, `*`.
    pub(super) hard: u16,
    /// Calls of known functions among the items.
    pub(super) calls: u16,
    /// Items or tables with an alias that no `as` announces, as any two words of prose look.
    pub(super) aliases: u16,
    /// Tables named.
    pub(super) tables: u16,
    /// A table or item was called `the`, `your`, ...
    pub(super) prose: bool,
    /// One stands right behind an operand, in parentheses.
    pub(super) adjacent: bool,
    /// One stands behind `;`.
    pub(super) stacked: bool,
    /// `where` with a condition behind it.
    pub(super) conditions: u16,
}

/// Which clauses were read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clauses {
    /// `order by` or `group by` with a number, call or several columns.
    pub(super) sorted_hard: bool,
    /// `order by` or `group by` with a name.
    pub(super) sorted: bool,
    /// `having` or `where` behind an operand.
    pub(super) conditions: bool,
    /// `from` behind the application's own expression.
    pub(super) tables: bool,
    /// `limit` with a number.
    pub(super) limit: bool,
    /// `into outfile 'x'`.
    pub(super) file: bool,
    /// `collate x`.
    pub(super) collate: bool,
    /// `procedure analyse(`, `in boolean mode`: nothing but SQL.
    pub(super) certain: bool,
}

/// How sure it is that a statement was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Statement {
    /// There is none.
    #[default]
    Absent,
    /// The words are right, and prose could say them.
    Weak,
    /// Nothing but SQL looks like that.
    Sure,
}

/// Where reading stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end, behind an operand: a whole expression.
    #[default]
    Whole,
    /// At the end, where an operand is still due.
    Due,
    /// At a token that no dialect takes there.
    Broken,
}
