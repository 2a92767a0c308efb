//! Top-k and its scores: the semantics in one place.

use base::ExpertId;
use spec::{GroupScore, Router};

/// Which experts each token goes to, and with what weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// Experts a token uses.
    pub top_k: usize,
    /// `[tokens, top_k]`, best first.
    pub experts: Vec<ExpertId>,
    /// `[tokens, top_k]`.
    pub weights: Vec<f32>,
    /// Every use, ordered by expert and then by token.
    uses: Vec<(ExpertId, Use)>,
}

/// One token's use of one expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The token's row in the batch.
    pub token: usize,
    /// The row its answer goes to: `token * top_k + rank`.
    pub part: usize,
}

impl Routing {
    /// Orders the choices of a batch.
    pub fn new(top_k: usize, experts: Vec<ExpertId>, weights: Vec<f32>) -> Self {
        let places = experts.iter().enumerate();
        let mut uses: Vec<_> =
            places.map(|(part, expert)| (*expert, Use { token: part / top_k.max(1), part })).collect();
        uses.sort_unstable();
        Self { top_k, experts, weights, uses }
    }

    /// Every expert that any token uses, in ascending order, and by how many tokens.
    pub fn distinct(&self) -> Vec<(ExpertId, u32)> {
        let groups = self.uses.chunk_by(|a, b| a.0 == b.0);
        groups.map(|group| (group[0].0, group.len() as u32)).collect()
    }

    /// Every expert that any token uses, by the best rank that it has with one.
    pub fn likeliest(&self) -> Vec<ExpertId> {
        let mut experts = Vec::new();
        for rank in 0..self.top_k {
            for expert in self.experts.iter().skip(rank).step_by(self.top_k) {
                if !experts.contains(expert) {
                    experts.push(*expert);
                }
            }
        }
        experts
    }

    /// The uses of one expert, by token.
    pub fn uses(&self, expert: ExpertId) -> Vec<Use> {
        let start = self.uses.partition_point(|(id, _)| *id < expert);
        self.uses[start..].iter().take_while(|(id, _)| *id == expert).map(|(_, one)| *one).collect()
    }
}

/// One token's experts, best first, and their weights, from its scores. Ties go to the lower number.
///
/// `biased` are the scores with the router's bias added, by which experts are chosen; the weights come from `scores`.
pub(crate) fn choose(scores: &[f32], biased: &[f32], router: &Router) -> (Vec<ExpertId>, Vec<f32>) {
    let mut open: Vec<usize> = match &router.groups {
        None => (0..scores.len()).collect(),
        Some(groups) => {
            let size = scores.len() / groups.count;
            let rank: Vec<f32> =
                biased.chunks_exact(size).map(|group| group_score(group, groups.score)).collect();
            let mut order: Vec<usize> = (0..groups.count).collect();
            order.sort_by(|a, b| rank[*b].total_cmp(&rank[*a]));
            let mut kept = order[..groups.keep].to_vec();
            kept.sort_unstable();
            kept.into_iter().flat_map(|group| group * size..(group + 1) * size).collect()
        }
    };
    // The sort is stable and `open` ascends, so equal scores keep their order.
    open.sort_by(|a, b| biased[*b].total_cmp(&biased[*a]));
    open.truncate(router.top_k);

    let weights = weigh(open.iter().map(|expert| scores[*expert]).collect(), router);
    (open.into_iter().map(|expert| ExpertId(expert as u32)).collect(), weights)
}

/// From the scores of a token's experts to their weights.
pub(crate) fn weigh(mut weights: Vec<f32>, router: &Router) -> Vec<f32> {
    if router.normalise {
        let sum: f32 = weights.iter().sum::<f32>() + 1e-20;
        weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    weights.iter_mut().for_each(|weight| *weight *= router.scale);
    weights
}

fn group_score(group: &[f32], score: GroupScore) -> f32 {
    let mut best = [f32::NEG_INFINITY; 2];
    for value in group {
        if *value > best[0] {
            best = [*value, best[0]];
        } else if *value > best[1] {
            best[1] = *value;
        }
    }
    match score {
        GroupScore::Best => best[0],
        GroupScore::TopTwo => best[0] + best[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{Groups, Score};

    fn router(top_k: usize, groups: Option<Groups>) -> Router {
        Router {
            top_k,
            by_token: false,
            logit_bias: false,
            score: Score::Sigmoid,
            bias: true,
            groups,
            normalise: true,
            scale: 2.0,
        }
    }

    fn ids(experts: &[ExpertId]) -> Vec<u32> {
        experts.iter().map(|id| id.0).collect()
    }

    #[test]
    fn the_bias_chooses_but_does_not_weigh() {
        let (experts, weights) = choose(&[0.1, 0.2, 0.3], &[9.0, 0.2, 0.3], &router(2, None));
        assert_eq!(ids(&experts), [0, 2]);
        assert!((weights[0] - 0.5).abs() < 1e-6 && (weights[1] - 1.5).abs() < 1e-6, "{weights:?}");
    }

    #[test]
    fn only_the_best_groups_take_part() {
        // Groups {0,1} and {2,3}: the second has the best single score, the first the better pair.
        let scores = [0.6, 0.5, 0.9, 0.0];
        let cases = [(GroupScore::TopTwo, [0, 1]), (GroupScore::Best, [2, 3])];
        for (score, expected) in cases {
            let groups = Groups { count: 2, keep: 1, score };
            let (experts, _) = choose(&scores, &scores, &router(2, Some(groups)));
            assert_eq!(ids(&experts), expected);
        }
    }

    /// Where older code scored what is left out 0, an expert of a dropped group would come before these.
    #[test]
    fn a_dropped_group_takes_no_part_however_low_the_kept_ones_score() {
        let biased = [-0.9, -0.8, -0.3, -0.2, -0.7, -0.6];
        let groups = Groups { count: 3, keep: 1, score: GroupScore::TopTwo };
        let (experts, _) = choose(&[0.5; 6], &biased, &router(2, Some(groups)));
        assert_eq!(ids(&experts), [3, 2]);
    }

    #[test]
    fn ties_go_to_the_lower_number_and_nan_does_not_panic() {
        let (experts, _) = choose(&[0.5; 4], &[0.5; 4], &router(2, None));
        assert_eq!(ids(&experts), [0, 1]);
        let (experts, _) = choose(&[f32::NAN; 4], &[f32::NAN; 4], &router(3, None));
        assert_eq!(experts.len(), 3);
    }

    #[test]
    fn uses_are_grouped_by_expert() {
        let experts = [2, 0, 2, 1].map(ExpertId).to_vec();
        let routing = Routing::new(2, experts, vec![1.0; 4]);
        assert_eq!(routing.distinct(), [(ExpertId(0), 1), (ExpertId(1), 1), (ExpertId(2), 2)]);
        assert_eq!(routing.uses(ExpertId(2)), [Use { token: 0, part: 0 }, Use { token: 1, part: 2 }]);
        assert_eq!(routing.uses(ExpertId(7)), []);
        assert_eq!(routing.likeliest(), [2, 0, 1].map(ExpertId));
    }
}
