//! The Merkle tree over the entries: RFC 9162, section 2.1, with SHA-256. It is computed
//! in one pass, in memory that grows with the logarithm of the entries.
//!
//! Leaves are taken together in *pages* of [`PAGE`]. As that is a power of two and only the
//! last page may be shorter, a page's own tree hash is a node of the whole tree, and the
//! tree over the pages' hashes is the upper part of it. So whoever keeps the pages' hashes
//! needs the leaves of one page for an audit path.

use idl::draw::{Entry, Hash};
use sha2::{Digest as _, Sha256};

/// How many leaves a page has; the last one may have fewer.
pub const PAGE: usize = idl::lottery::ENTRIES_PER_PAGE as usize;

/// The bytes of an entry that are hashed: `u64(n) ‖ u64(user_id) ‖ u64(entered_at_ms) ‖
/// u32(weight)`, big-endian. A weight that no `u32` holds is cut off at the largest one: the
/// protocol has none, and whatever reads entries refuses them before.
#[must_use]
pub fn leaf_data(entry: &Entry) -> [u8; 28] {
    let mut data = [0; 28];
    data[..8].copy_from_slice(&entry.n.to_be_bytes());
    data[8..16].copy_from_slice(&entry.user_id.0.to_be_bytes());
    data[16..24].copy_from_slice(&entry.entered_at_ms.to_be_bytes());
    data[24..].copy_from_slice(&u32::try_from(entry.weight).unwrap_or(u32::MAX).to_be_bytes());
    data
}

/// An entry's hash: `SHA256(0x00 ‖ leaf data)`.
#[must_use]
pub fn leaf(entry: &Entry) -> Hash {
    let mut bytes = [0; 29];
    bytes[1..].copy_from_slice(&leaf_data(entry));
    Hash(Sha256::digest(bytes).into())
}

/// The hash over two subtrees: `SHA256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// The hash of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// A tree that takes one hash after the other and keeps at most 64 of them.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    count: u64,
    /// The complete subtrees, one for each bit of `count` that is set, the largest first.
    complete: Vec<Hash>,
}

impl Tree {
    /// Appends a leaf's hash, or that of a page.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.complete.pop() {
                hash = node(&left, &hash);
            }
        }
        self.complete.push(hash);
        self.count += 1;
    }

    /// How many were appended.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The hash over all that were appended.
    #[must_use]
    pub fn root(&self) -> Hash {
        let subtrees = self.complete.iter().rev().copied();
        subtrees.reduce(|right, left| node(&left, &right)).unwrap_or_else(empty)
    }
}

/// A tree that also keeps the hash of each page: 32 bytes for [`PAGE`] leaves.
#[derive(Debug, Clone, Default)]
pub struct PagedTree {
    pages: Vec<Hash>,
    last: Tree,
}

impl PagedTree {
    /// Appends a leaf's hash.
    pub fn push(&mut self, leaf: Hash) {
        self.last.push(leaf);
        if self.last.count() == PAGE as u64 {
            self.pages.push(self.last.root());
            self.last = Tree::default();
        }
    }

    /// How many were appended.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.pages.len() * PAGE) as u64 + self.last.count()
    }

    /// The pages' hashes, the shorter last one included: see [`root`] and [`audit_path`].
    #[must_use]
    pub fn into_pages(mut self) -> Vec<Hash> {
        if self.last.count() > 0 {
            self.pages.push(self.last.root());
        }
        self.pages
    }
}

/// The hash of the tree over hashes: leaves, or the pages' hashes.
#[must_use]
pub fn root(hashes: impl IntoIterator<Item = Hash>) -> Hash {
    let mut tree = Tree::default();
    hashes.into_iter().for_each(|hash| tree.push(hash));
    tree.root()
}

/// The audit path of entry `n`, from the leaf up, from the hashes of all leaves of its page
/// (number `n` / [`PAGE`]) and those of all pages. `None` if the page or the entry is not there.
#[must_use]
pub fn audit_path(n: u64, page: &[Hash], pages: &[Hash]) -> Option<Vec<Hash>> {
    let n = usize::try_from(n).ok()?;
    let mut path = siblings(n % PAGE, page)?;
    path.extend(siblings(n / PAGE, pages)?);
    Some(path)
}

/// Level by level: pairs are taken together, and one without a partner moves up as it is,
/// which gives RFC 9162's tree.
fn siblings(index: usize, hashes: &[Hash]) -> Option<Vec<Hash>> {
    if index >= hashes.len() {
        return None;
    }
    let (mut path, mut index, mut level) = (Vec::new(), index, hashes.to_vec());
    while level.len() > 1 {
        path.extend(level.get(index ^ 1));
        level =
            level.chunks(2).map(|pair| if let [left, right] = pair { node(left, right) } else { pair[0] }).collect();
        index /= 2;
    }
    Some(path)
}

/// The root that the audit path of leaf `n` of `count` leads to (RFC 9162, section 2.1.3.2).
/// `None` if the path has not the length that it must have, or there is no such leaf.
#[must_use]
pub fn root_from_path(leaf: Hash, n: u64, count: u64, path: &[Hash]) -> Option<Hash> {
    let mut last = count.checked_sub(1).filter(|last| n <= *last)?;
    let (mut index, mut hash) = (n, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            hash = node(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use idl::UserId;
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            more => {
                let split = more.len().next_power_of_two() / 2;
                node(&defined(&more[..split]), &defined(&more[split..]))
            }
        }
    }

    fn some_leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|n| {
                let n = n as u64;
                leaf(&Entry { n, user_id: UserId(n + 1), entered_at_ms: 5, weight: 1 })
            })
            .collect()
    }

    /// The leaves and roots that Certificate Transparency's implementations test themselves with.
    #[test]
    fn known_trees() {
        let data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let leaves: Vec<Hash> = data
            .iter()
            .map(|data| {
                let bytes: Vec<u8> =
                    (0..data.len()).step_by(2).map(|at| u8::from_str_radix(&data[at..at + 2], 16).unwrap()).collect();
                Hash(Sha256::digest([&[0], &bytes[..]].concat()).into())
            })
            .collect();
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (count, expected) in roots.iter().enumerate() {
            assert_eq!(root(leaves[..count].iter().copied()).to_string(), *expected, "{count} leaves");
        }
    }

    #[test]
    fn a_leaf_is_what_the_protocol_says() {
        let entry = Entry { n: 1, user_id: UserId(0x0203), entered_at_ms: 0x04_0506, weight: 7 };
        let data = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 0, 0, 0, 7];
        assert_eq!(leaf_data(&entry), data);
        assert_eq!(leaf(&entry).0, <[u8; 32]>::from(Sha256::digest([&[0][..], &data].concat())));
    }

    #[test]
    fn pages_make_the_same_tree() {
        for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 1, 3 * PAGE - 1] {
            let leaves = some_leaves(count);
            let mut tree = PagedTree::default();
            leaves.iter().for_each(|leaf| tree.push(*leaf));
            assert_eq!(tree.count(), count as u64);
            let pages = tree.into_pages();
            assert_eq!(pages.len(), count.div_ceil(PAGE));
            let whole = root(pages.iter().copied());
            assert_eq!(whole, defined(&leaves), "{count} leaves");
            for n in [0, 1, PAGE / 2, PAGE - 1, PAGE, count.saturating_sub(1)] {
                let page = leaves.chunks(PAGE).nth(n / PAGE).unwrap_or_default();
                let path = audit_path(n as u64, page, &pages);
                assert_eq!(path.is_some(), n < count);
                if let Some(path) = path {
                    assert_eq!(root_from_path(leaves[n], n as u64, count as u64, &path), Some(whole));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn one_pass_gives_the_definition(count in 0_usize..300) {
            let leaves = some_leaves(count);
            prop_assert_eq!(root(leaves.iter().copied()), defined(&leaves));
        }

        #[test]
        fn a_path_leads_to_the_root_and_only_its_own((count, n) in (1_usize..300).prop_flat_map(|count| (Just(count), 0..count)), other: prop::sample::Index, bit in 0_usize..256) {
            let leaves = some_leaves(count);
            let whole = defined(&leaves);
            let (at, of) = (n as u64, count as u64);
            let path = audit_path(at, &leaves, &[whole]).unwrap();
            prop_assert_eq!(root_from_path(leaves[n], at, of, &path), Some(whole));

            let flip = |hash: &mut Hash| hash.0[bit / 8] ^= 1 << (bit % 8);
            let mut leaf = leaves[n];
            flip(&mut leaf);
            prop_assert_ne!(root_from_path(leaf, at, of, &path), Some(whole));
            let wrong = other.index(count);
            prop_assert_eq!(root_from_path(leaves[n], wrong as u64, of, &path) == Some(whole), wrong == n);
            prop_assert_eq!(root_from_path(leaves[n], of, of, &path), None);
            let longer = [&path[..], &[whole]].concat();
            prop_assert_eq!(root_from_path(leaves[n], at, of, &longer), None);
            if let Some((_, shorter)) = path.split_last() {
                prop_assert_eq!(root_from_path(leaves[n], at, of, shorter), None);
                let mut tampered = path.clone();
                flip(&mut tampered[other.index(path.len())]);
                prop_assert_ne!(root_from_path(leaves[n], at, of, &tampered), Some(whole));
            }
        }
    }
}
