using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The strongest documents of the poles once more through the model; out comes which of their tokens carry the pole: <c>tokens.jsonl</c>.</summary>
/// <remarks>Each document goes through once, whatever the number of poles that it is asked for, block by block: a stage that was stopped goes on behind its last block.</remarks>
internal static class TokensStage
{
    public const string Name = "tokens";

    /// <summary>Documents whose tokens are kept: of a certified pole, and of every pole where a run has no certificates.</summary>
    public const int DocumentsPerPole = 4;

    /// <summary>Of a pole that is not certified. A document costs a pass through the model, and most poles are not.</summary>
    public const int DocumentsPerOther = 1;

    /// <summary>Of a certified pole, those that are split by loss token too.</summary>
    public const int LossDocumentsPerPole = 2;

    // Sums of a document's parts in float32, beside products of stored float32 rows.
    private const double SumTolerance = 1e-3;

    public static Stage Create(AuditOptions options, ModelFiles model) => new()
    {
        Name = Name,
        Version = 3, // fewer documents of poles that are not certified; loss tokens by differences, where those add up
        Options = new JsonObject { ["batch_tokens"] = options.BatchTokens },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, CoordinatesStage.Name, AtomsStage.Name],
        Run = context => Run(context, model, options.BatchTokens),
    };

    /// <summary>How many documents of a pole are looked at: none of one that has too few to be called a behaviour.</summary>
    public static int DocumentsOf(Pole pole) => !pole.Supported ? 0 : pole.Certified == false ? DocumentsPerOther : DocumentsPerPole;

    private static void Run(StageContext context, ModelFiles model, int batchTokens)
    {
        using var lifted = LiftedFile.Find(context.Folder);
        if (lifted is null)
        {
            return; // a sketched atom is no direction of the weights: there is nothing to take products with
        }

        using var inputs = PassInputs.Open(context.Folder, model);
        using var coordinates = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        var atoms = AtomsFile.Read(context.Folder.Need(RunFiles.Atoms));
        var asked = Asked(atoms, inputs.Texts);
        int[] chosen = [.. asked.Select(question => question.Document).Distinct().Order()];
        var plan = BatchPlan.Make([.. chosen.Select(document => inputs.Documents[document].Tokens.Length)], batchTokens, CurvaturePass.BlockDocuments(chosen.Length, parameters: 0));
        var parts = context.Scratch("tokens-parts", ".jsonl");
        var split = new Splitter(model, inputs, lifted, coordinates, batchTokens);
        var questionsOf = asked.Index().ToLookup(question => question.Item.Document, question => question.Index);
        var lines = new string[asked.Count];
        var (worst, worstLoss, done) = (0.0, 0.0, 0);
        for (var block = 0; block < plan.Blocks.Count; block++)
        {
            int[] own = [.. plan.Blocks[block].SelectMany(batch => batch).SelectMany(place => questionsOf[chosen[place]]).Order()];
            if (!parts.Has(block))
            {
                var (evidence, error, lossError) = split.Of([.. own.Select(question => asked[question])], new Progress(context.Progress, done, chosen.Length), context.CancellationToken);
                parts.Write(
                    block,
                    stream => stream.Write(Encoding.UTF8.GetBytes(string.Concat(evidence.Select(TokensFile.Line)))),
                    new JsonObject { ["error"] = error, ["loss_error"] = lossError });
            }

            foreach (var (question, line) in own.Zip(File.ReadLines(parts.PathOf(block))))
            {
                lines[question] = line;
            }

            worst = Math.Max(worst, (double)parts[block].Notes!["error"]!);
            worstLoss = Math.Max(worstLoss, (double)parts[block].Notes!["loss_error"]!);
            done += plan.RowCount(block);
        }

        context.WriteText(TokensFile.Name, TokensFile.Header(split.Modules) + string.Concat(lines.Select(line => line + "\n")));
        Check("tokens/positions", worst, "sums of positions' parts, against products of the stored rows: projections differ");
        if (asked.Any(question => question.ByLoss))
        {
            Check("tokens/losses", worstLoss, "sums of loss tokens' parts, against the positions': shares of their absolute sum differ");
        }

        context.Notes["documents"] = asked.Count;
        context.Notes["by_loss"] = asked.Count(question => question.ByLoss);

        void Check(string name, double error, string what) =>
            context.Check(name, error <= SumTolerance, string.Create(CultureInfo.InvariantCulture, $"{what} by {error:0.0e+0} at most, {SumTolerance:0.0e+0} allowed"));
    }

    private static List<Question> Asked(IReadOnlyList<Atom> atoms, IEnumerable<TextRow> texts)
    {
        var documents = texts.Index().ToDictionary(text => text.Item.Id, text => text.Index, StringComparer.Ordinal);
        return [.. atoms.SelectMany(atom => atom.Poles.SelectMany(pole => pole.Top.Take(DocumentsOf(pole)).Select(
            (top, rank) => new Question(pole, atom.Row, documents[top.Id], pole.Certified == true && rank < LossDocumentsPerPole))))];
    }

    private sealed record Question(Pole Pole, int Row, int Document, bool ByLoss);

    // Counted over all blocks.
    private sealed class Progress(IProgress<StageProgress>? outer, int before, int total) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => outer?.Report(value.Stage == Name ? value with { Done = before + value.Done, Total = total } : value);
    }

    private sealed class Splitter
    {
        private readonly ModelFiles _model;
        private readonly PassInputs _inputs;
        private readonly LiftedFile _lifted;
        private readonly SafetensorsFile _coordinates;
        private readonly int _batchTokens;
        private readonly TokenLines _lines;
        private readonly double[] _norms;

        public Splitter(ModelFiles model, PassInputs inputs, LiftedFile lifted, SafetensorsFile coordinates, int batchTokens)
        {
            (_model, _inputs, _lifted, _coordinates, _batchTokens) = (model, inputs, lifted, coordinates, batchTokens);
            _lines = new(model.Loaded.Tokenizer, inputs.Documents, inputs.Source.Layout);
            using var norms = coordinates.ReadRaw("norms");
            _norms = norms.data<double>().ToArray();
        }

        public IReadOnlyList<string> Modules => _lines.Modules;

        /// <summary>Answers, with the largest disagreements of sums: of positions as parts of a document's length, of loss tokens as parts of their absolute sum.</summary>
        public (IReadOnlyList<TokenEvidence> Evidence, double Error, double LossError) Of(IReadOnlyList<Question> questions, IProgress<StageProgress> progress, CancellationToken cancellationToken)
        {
            using var scope = NewDisposeScope();
            DocumentDirection[] pairs = [.. questions.Select(question => new DocumentDirection(question.Document, question.Row))];
            var positions = TokenSplits.ByPosition(_inputs.Source, _inputs.Documents, pairs, _lifted, _batchTokens, progress, cancellationToken);
            int[] byLoss = [.. questions.Index().Where(question => question.Item.ByLoss).Select(question => question.Index)];
            var losses = TokenSplits.ByLossDifference(
                _model.Loaded.Model, _inputs.Adapter, _inputs.Source.Layout, _inputs.Documents, [.. byLoss.Select(place => pairs[place])], [.. byLoss.Select(place => positions[place].Total)], _lifted, progress, cancellationToken);
            using var weights = _lifted.ReadWeights(); // [K, N]
            var (evidence, error, lossError) = (new List<TokenEvidence>(), 0.0, 0.0);
            for (var i = 0; i < questions.Count; i++)
            {
                var ((pole, row, document, _), split) = (questions[i], positions[i]);
                var loss = Array.BinarySearch(byLoss, i) is >= 0 and var place ? losses[place] : null;
                using var products = _coordinates.ReadRows("gram_whitened", document, 1); // w_i · w_j, [1, N]
                var expected = weights[row].dot(products[0].to(ScalarType.Float64)).item<double>();
                error = Math.Max(error, Math.Abs(split.Total - expected) / _norms[document]);
                lossError = Math.Max(lossError, loss is null ? 0 : Math.Abs(loss.Sum() - split.Total) / loss.Sum(Math.Abs));
                evidence.Add(_lines.Make(pole.Id, document, split, loss, pole.Sign / _norms[document]));
            }

            return (evidence, error, lossError);
        }
    }
}
