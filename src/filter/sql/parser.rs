//! From words to a tree: 4.9.4's grammar, and what it refuses when it builds the tree (B-291).
//!
//! Not what the tree says about a message (`evaluate`). Invariants: `NOT` binds more tightly than a comparison, as in
//! 4.9.4; nothing is left over at the end (4.9.4 stops where it no longer understands, and forgets the rest); depth
//! and number of terms are bounded, so neither reading nor evaluating overflows the stack.

use std::collections::BTreeMap;

use super::evaluate::{Comparison, Condition, Operand};
use super::lexer::{Lexer, Token};
use super::value::Value;
use super::{DEPTH_MAX, SqlError, TERMS_MAX};
use crate::model::shown;

/// Reads one expression.
pub(super) struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The next word, and where it begins.
    token: Token<'a>,
    at: usize,
    depth: usize,
    terms: usize,
    /// Comparisons whose left side is one.
    chained: usize,
    names: BTreeMap<Box<str>, usize>,
}

type Parsed<T> = Result<T, SqlError>;

impl Operand {
    /// Whether it is written out: 4.9.4 is stricter with these.
    fn is_constant(&self) -> bool {
        match self {
            Self::Text(_) | Self::Number(_) => true,
            Self::Condition(condition) => matches!(**condition, Condition::Constant(_)),
            Self::Property(_) | Self::Negated(_) => false,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Condition(condition) if **condition == Condition::Constant(None))
    }
}

impl From<Condition> for Operand {
    fn from(condition: Condition) -> Self {
        Self::Condition(Box::new(condition))
    }
}

/// Reads a whole expression; returns it with the properties it names, each with its number.
pub(super) fn parse(text: &str) -> Parsed<(Condition, BTreeMap<Box<str>, usize>)> {
    let mut lexer = Lexer::new(text);
    let (at, token) = lexer.next()?;
    let names = BTreeMap::new();
    let mut parser = Parser { text, lexer, token, at, depth: 0, terms: 0, chained: 0, names };
    let operand = parser.any()?;
    let condition = parser.condition(operand, 0)?;
    // A comment without a line's end is two signs to 4.9.4, behind which it does not look.
    if parser.token != Token::End && !text[parser.at..].starts_with("--") {
        return Err(parser.unexpected("AND, OR or the end"));
    }
    Ok((condition, parser.names))
}

impl<'a> Parser<'a> {
    /// Goes on to the next word.
    fn advance(&mut self) -> Parsed<()> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn take(&mut self, token: Token<'_>) -> Parsed<bool> {
        let is_there = self.token == token;
        if is_there {
            self.advance()?;
        }
        Ok(is_there)
    }

    fn expect(&mut self, token: Token<'_>, name: &str) -> Parsed<()> {
        if self.take(token)? { Ok(()) } else { Err(self.unexpected(name)) }
    }

    fn error(&self, at: usize, what: impl Into<String>) -> SqlError {
        SqlError::at(self.text, at, what)
    }

    /// The next word does not fit.
    fn unexpected(&self, wanted: &str) -> SqlError {
        let end = self.lexer.position();
        let word = match self.token {
            Token::End => "the end".to_owned(),
            _ => format!("`{}`", shown(&self.text[self.at..end])),
        };
        self.error(self.at, format!("{word} where {wanted} should be"))
    }

    /// Counts a node of the tree.
    fn term<T>(&mut self, node: T) -> Parsed<T> {
        self.terms += 1;
        if self.terms > TERMS_MAX {
            return Err(self.error(self.at, format!("more than {TERMS_MAX} terms")));
        }
        Ok(node)
    }

    /// Where a condition is wanted, a property is one too.
    fn condition(&self, operand: Operand, at: usize) -> Parsed<Condition> {
        match operand {
            Operand::Condition(condition) => Ok(*condition),
            Operand::Property(property) => Ok(Condition::Property(property)),
            _ => Err(self.error(at, "a value where a condition should be, like `a = 1`")),
        }
    }

    /// `... OR ...`
    fn any(&mut self) -> Parsed<Operand> {
        self.chain(Token::Or, Self::all, Condition::Any)
    }

    /// `... AND ...`
    fn all(&mut self) -> Parsed<Operand> {
        self.chain(Token::And, Self::equality, Condition::All)
    }

    fn chain(
        &mut self,
        between: Token<'_>,
        link: fn(&mut Self) -> Parsed<Operand>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Parsed<Operand> {
        let mut at = self.at;
        let first = link(self)?;
        if self.token != between {
            return Ok(first);
        }
        let mut links = vec![self.condition(first, at)?];
        while self.take(between)? {
            at = self.at;
            let next = link(self)?;
            let next = self.condition(next, at)?;
            links.push(self.term(next)?);
        }
        Ok(join(links).into())
    }

    /// `... = ...`, `... <> ...`, `... IS NULL`, `... IS NOT NULL`
    fn equality(&mut self) -> Parsed<Operand> {
        let at = self.at;
        let mut left = self.comparison()?;
        loop {
            let token = self.token;
            let condition = match token {
                Token::Equal | Token::NotEqual => {
                    self.advance()?;
                    let right_at = self.at;
                    let right = self.comparison()?;
                    self.check_equality((&left, at), (&right, right_at))?;
                    negated_if(token == Token::NotEqual, Condition::Equal(left, right))
                }
                Token::Is => {
                    self.advance()?;
                    let is_not = self.take(Token::Not)?;
                    self.expect(Token::Null, "NULL")?;
                    negated_if(is_not, Condition::IsNull(left))
                }
                _ => return Ok(left),
            };
            left = self.term(condition)?.into();
            if matches!(self.token, Token::Equal | Token::NotEqual | Token::Is) {
                self.chain_on()?;
            }
        }
    }

    /// A comparison is compared in turn, as in `a = b = c`: the tree gets deeper.
    fn chain_on(&mut self) -> Parsed<()> {
        self.chained += 1;
        if self.chained > DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} comparisons of comparisons");
            return Err(self.error(self.at, what));
        }
        Ok(())
    }

    fn check_equality(&self, left: (&Operand, usize), right: (&Operand, usize)) -> Parsed<()> {
        for (operand, at) in [left, right] {
            if operand.is_null() {
                return Err(self.error(at, "NULL equals nothing; write `IS NULL`"));
            }
        }
        let (left, at) = left;
        let is_truth = |operand: &Operand| matches!(operand, Operand::Condition(_));
        if left.is_constant() && right.0.is_constant() && is_truth(left) && !is_truth(right.0) {
            return Err(self.error(at, "TRUE and FALSE cannot be compared with a text or a number"));
        }
        Ok(())
    }

    /// `<`, `<=`, `>`, `>=`, `BETWEEN`, `IN`
    fn comparison(&mut self) -> Parsed<Operand> {
        let at = self.at;
        let mut left = self.unary()?;
        loop {
            let token = self.token;
            let condition = match token {
                Token::Less => self.ordered(left, at, Comparison::Less)?,
                Token::LessOrEqual => self.ordered(left, at, Comparison::LessOrEqual)?,
                Token::Greater => self.ordered(left, at, Comparison::Greater)?,
                Token::GreaterOrEqual => self.ordered(left, at, Comparison::GreaterOrEqual)?,
                Token::Between | Token::In | Token::Not => {
                    let is_not = self.take(Token::Not)?;
                    match self.token {
                        Token::Between => self.between(left, at, is_not)?,
                        Token::In => negated_if(is_not, self.one_of(left, at)?),
                        _ => return Err(self.unexpected("BETWEEN or IN")),
                    }
                }
                _ => return Ok(left),
            };
            left = self.term(condition)?.into();
        }
    }

    fn ordered(&mut self, left: Operand, at: usize, is: Comparison) -> Parsed<Condition> {
        self.advance()?;
        let right_at = self.at;
        let right = self.unary()?;
        self.check_size(&left, at)?;
        self.check_size(&right, right_at)?;
        Ok(Condition::Ordered(left, is, right))
    }

    /// Only numbers and properties are less or greater than others.
    fn check_size(&self, operand: &Operand, at: usize) -> Parsed<()> {
        match operand {
            Operand::Property(_) | Operand::Number(_) | Operand::Negated(_) => Ok(()),
            Operand::Text(_) => {
                Err(self.error(at, "a text is not less or greater than others; compare numbers"))
            }
            Operand::Condition(_) => {
                Err(self.error(at, "a condition is not less or greater than others"))
            }
        }
    }

    fn between(&mut self, value: Operand, at: usize, is_not: bool) -> Parsed<Condition> {
        self.advance()?;
        let low_at = self.at;
        let low = self.unary()?;
        self.expect(Token::And, "AND")?;
        let high_at = self.at;
        let high = self.unary()?;
        for (operand, at) in [(&value, at), (&low, low_at), (&high, high_at)] {
            self.check_size(operand, at)?;
        }
        if is_not {
            return Ok(Condition::NotBetween { value, low, high });
        }
        if let (Operand::Number(from), Operand::Number(to)) = (&low, &high)
            && from.compare(*to).is_ok_and(std::cmp::Ordering::is_gt)
        {
            return Err(self.error(low_at, "BETWEEN takes the lesser number first"));
        }
        Ok(Condition::Between { value, low, high })
    }

    fn one_of(&mut self, left: Operand, at: usize) -> Parsed<Condition> {
        let Operand::Property(property) = left else {
            return Err(self.error(at, "only a property can be IN a list"));
        };
        self.advance()?;
        self.expect(Token::Open, "`(`")?;
        let mut texts = Vec::new();
        loop {
            let Token::Text(text) = self.token else {
                return Err(self.unexpected("a text, like 'a',"));
            };
            texts.push(plain(text));
            self.advance()?;
            if !self.take(Token::Comma)? {
                break;
            }
        }
        self.expect(Token::Close, "`,` or `)`")?;
        texts.sort_unstable();
        texts.dedup();
        Ok(Condition::OneOf { property, texts })
    }

    /// `+ ...`, `- ...`, `NOT ...`, and what needs no sign.
    fn unary(&mut self) -> Parsed<Operand> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(self.at, format!("nested more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let token = self.token;
        let operand = match token {
            Token::Plus => {
                self.advance()?;
                self.unary()?
            }
            Token::Minus => {
                self.advance()?;
                let inner = Operand::Negated(Box::new(self.unary()?));
                self.term(inner)?
            }
            Token::Not => {
                self.advance()?;
                let at = self.at;
                let inner = self.unary()?;
                let inner = self.condition(inner, at)?;
                self.term(Condition::Not(Box::new(inner)))?.into()
            }
            _ => self.primary()?,
        };
        self.depth -= 1;
        Ok(operand)
    }

    fn primary(&mut self) -> Parsed<Operand> {
        let at = self.at;
        let operand = match self.token {
            Token::Open => {
                self.advance()?;
                let inner = self.any()?;
                if self.token != Token::Close {
                    return Err(self.unexpected("`)`"));
                }
                inner
            }
            Token::Text(text) => Operand::Text(plain(text)),
            Token::Whole(digits) => self.whole(digits, at)?,
            Token::Decimal(number) => self.decimal(number, at)?,
            Token::True => Condition::Constant(Some(true)).into(),
            Token::False => Condition::Constant(Some(false)).into(),
            Token::Null => Condition::Constant(None).into(),
            Token::Name(name) => Operand::Property(self.property(name)),
            _ => return Err(self.unexpected("a property, a value or a condition")),
        };
        self.advance()?;
        Ok(operand)
    }

    fn property(&mut self, name: &'a str) -> usize {
        let next = self.names.len();
        match self.names.get(name) {
            Some(property) => *property,
            None => *self.names.entry(name.into()).or_insert(next),
        }
    }

    fn whole(&self, digits: &str, at: usize) -> Parsed<Operand> {
        let number: i64 = digits
            .trim_end_matches(['l', 'L'])
            .parse()
            .map_err(|_| self.error(at, format!("the number is greater than {}", i64::MAX)))?;
        let narrow = i32::try_from(number).map(Value::Integer);
        Ok(Operand::Number(narrow.unwrap_or(Value::Long(number))))
    }

    fn decimal(&self, text: &str, at: usize) -> Parsed<Operand> {
        let number: f64 = text.parse().map_err(|_| self.error(at, "this is no number"))?;
        if number.is_infinite() {
            return Err(self.error(at, "the number is too great"));
        }
        if number == 0.0 {
            return Err(
                self.error(at, "a number with a point or an exponent cannot be 0; write `0`")
            );
        }
        Ok(Operand::Number(Value::Double(number)))
    }
}

fn negated_if(is_negated: bool, condition: Condition) -> Condition {
    if is_negated { Condition::Not(Box::new(condition)) } else { condition }
}

/// A text literal without its doubled quotes.
fn plain(text: &str) -> Box<str> {
    text.replace("''", "'").into()
}
