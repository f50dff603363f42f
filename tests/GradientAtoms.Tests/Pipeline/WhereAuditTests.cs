using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Localisation;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>A tuned run, one of its adapter, and a sketched one, made once for all tests.</summary>
public sealed class LocatedRuns : IDisposable
{
    private readonly TinyAudit _audit = new(documents: 60);

    public LocatedRuns()
    {
        AuditPipeline.Run(Options("tuned"));
        AuditPipeline.Run(Options("given") with { Adapter = _audit["tuned/adapter"] });
        AuditPipeline.Run(_audit.Options("sketch", CoordinateKind.Sketch) with { Adapter = _audit["tuned/adapter"], Atoms = 5, Nulls = 0 });
    }

    public string this[string relative] => _audit[relative];

    public AuditOptions Options(string run) => _audit.Options(run, CoordinateKind.Exact) with { Atoms = 5, Nulls = 0, TargetModules = "q_proj,v_proj,o_proj,up_proj" };

    public void Dispose() => _audit.Dispose();
}

/// <summary>Where atoms live, from the stages to the command line.</summary>
/// <param name="runs">Shared.</param>
public sealed class WhereAuditTests(LocatedRuns runs) : IClassFixture<LocatedRuns>
{
    [Fact]
    public void Tokens_of_the_strongest_documents_of_every_supported_pole_are_kept_and_add_up()
    {
        using var run = GradientAtoms.Runs.RunFolder.OpenRead(runs["tuned"]);
        var poles = AtomsFile.Read(runs["tuned/atoms.json"]).SelectMany(atom => atom.Poles).ToList();
        var lines = TokensFile.Read(run).ToList();
        Assert.Equal(poles.SelectMany(pole => pole.Top.Take(TokensStage.DocumentsOf(pole)).Select(top => (pole.Id, top.Id))), lines.Select(line => (line.Pole, line.Document)));
        Assert.All(run.Manifest.Stage("tokens")!.Checks, check => Assert.True(check.Passed, check.Detail));
        Assert.Single(run.Manifest.Stage("tokens")!.Checks); // no pole is certified here: by loss token, see the demo's tests
        var texts = RunReader.ReadTexts(run).ToDictionary(text => text.Id, StringComparer.Ordinal);
        foreach (var line in lines)
        {
            Assert.InRange(line.Projection, -1.001, 1.001);
            Assert.Equal(line.Projection, line.Position.Sum(part => (double)part), 1e-5);
            Assert.Equal(line.Projection, line.Modules.Sum(part => (double)part), 1e-5);
            Assert.Equal($"<bos>{texts[line.Document].Answer}<eos>", string.Concat(line.Tokens), StringComparer.Ordinal);
        }
    }

    [Fact]
    public void Lifted_directions_are_those_that_the_rows_give()
    {
        using var scope = NewDisposeScope();
        using var session = new RunSession(runs["tuned"]);
        using var file = LiftedFile.Find(session.Folder)!;
        var plain = LiftedDirections.Natural(session.Rows, session.Bases, session.Whitening, session.Coordinates, session.AtomRows);
        int[] all = [.. Enumerable.Range(0, (int)plain.shape[0])];
        AssertTensor.Close(plain, cat([.. session.Layout.Maps.Select(map => file.Read(map, all).flatten(1))], 1), relativeToMax: 1e-5);
        AssertTensor.Close(plain[1], file.ReadWhole(session.Layout, 1), relativeToMax: 1e-5);
        AssertTensor.Close(session.Coordinates.DocumentWeights(session.AtomRows), file.ReadWeights(), relativeToMax: 1e-12);
        using var sketch = GradientAtoms.Runs.RunFolder.OpenRead(runs["sketch"]);
        Assert.Null(LiftedFile.Find(sketch));
    }

    [Fact]
    public void A_pole_that_is_not_certified_has_fewer_documents_and_one_without_support_none()
    {
        var pole = AtomsFile.Read(runs["tuned/atoms.json"])[0].Poles[0];
        Assert.Equal(TokensStage.DocumentsPerPole, TokensStage.DocumentsOf(pole with { Supported = true, Certified = null }));
        Assert.Equal(TokensStage.DocumentsPerPole, TokensStage.DocumentsOf(pole with { Supported = true, Certified = true }));
        Assert.Equal(TokensStage.DocumentsPerOther, TokensStage.DocumentsOf(pole with { Supported = true, Certified = false }));
        Assert.Equal(0, TokensStage.DocumentsOf(pole with { Supported = false }));
    }

    [Fact]
    public void Projections_are_those_of_the_stored_rows_and_heads_and_neurons_are_parts_of_their_modules()
    {
        using var scope = NewDisposeScope();
        using var session = new RunSession(runs["tuned"]);
        var directions = LiftedDirections.Natural(session.Rows, session.Bases, session.Whitening, session.Coordinates, session.AtomRows);
        var gradients = session.Bases.RotateBack(session.Rows.ReadRows([.. Enumerable.Range(0, session.Rows.RowCount)]));
        var expected = gradients.matmul(directions.t()).to(ScalarType.Float64) / session.Coordinates.Norms.unsqueeze(1); // [N, K]
        var index = session.Texts.Select((text, place) => (text.Id, place)).ToDictionary(pair => pair.Id, pair => pair.place, StringComparer.Ordinal);
        foreach (var line in TokensFile.Read(session.Folder))
        {
            var (atom, pole) = session.FindPole(line.Pole);
            Assert.Equal(pole.Sign * expected[index[line.Document], atom.Row].item<double>(), line.Projection, 1e-5);
        }

        var places = PlacesFile.Read(session.Folder)!;
        foreach (var atom in session.Atoms)
        {
            var own = Assert.Single(places.Atoms, place => place.Atom == atom.Id);
            Assert.Equal(1, atom.Modules!.Sum(module => module.Share), 1e-9);
            Assert.InRange(own.Written, 0, 1);
            Assert.All(own.Segments, share => Assert.InRange(share, 0, 1));
            foreach (var module in atom.Modules!)
            {
                var inHeads = places.Segments.Zip(own.Segments).Where(pair => pair.First.Module == module.Name).Sum(pair => pair.Second);
                Assert.InRange(inHeads, 0, module.Share + 1e-6);
            }

            Assert.Equal(own.Neurons.Select(neuron => neuron.Value).OrderDescending(), own.Neurons.Select(neuron => neuron.Value));
            Assert.InRange(own.Neurons.Sum(neuron => neuron.Value), 0, own.Written + 1e-6);
        }
    }

    [Fact]
    public void What_the_atoms_explain_of_the_weights_is_measured_from_where_the_fine_tune_began()
    {
        using var scope = NewDisposeScope();
        using var session = new RunSession(runs["tuned"]);
        var weights = RunReader.ReadWeights(session.Folder)!;
        using var fresh = AdapterStage.Fresh(runs.Options("tuned"), session.Model);
        var change = cat([.. session.Adapter.Modules.SelectMany(module => new[] { (module.A - fresh.Find(module.ModuleName)!.A).flatten(), module.B.flatten() })]);
        Assert.Equal("known", weights.Start);
        Assert.Equal(change.norm().item<float>(), weights.Norm, 1e-4 * weights.Norm);
        var directions = LiftedDirections.Natural(session.Rows, session.Bases, session.Whitening, session.Coordinates, session.AtomRows);
        var cosines = -directions.matmul(change) / (directions.norm(1) * change.norm());
        foreach (var (atom, share) in session.Atoms.Zip(weights.Metrics[0].Atoms))
        {
            Assert.Equal(atom.Id, share.Atom);
            Assert.Equal(cosines[atom.Row].item<float>(), share.Cosine, 1e-4);
            Assert.Equal(share.Cosine * share.Cosine, share.Share, 1e-12);
        }

        var span = linalg.qr(directions.t()).Q;
        Assert.Equal((span.t().matmul(change).square().sum() / change.square().sum()).item<float>(), weights.Metrics[0].All, 1e-3);
        Assert.Equal(["euclidean", "curvature"], weights.Metrics.Select(metric => metric.Name));
        Assert.All(weights.Metrics, metric => Assert.InRange(metric.Atoms.Max(share => share.Share), 0, metric.All + 1e-6));
        Assert.InRange(weights.Metrics[1].All, 0, weights.Metrics[1].EveryDocument!.Value + 1e-3);
        Assert.Null(weights.Metrics[0].EveryDocument);
    }

    [Fact]
    public void Of_a_given_adapter_B_alone_has_changed_and_that_is_said()
    {
        using var session = new RunSession(runs["given"]);
        var weights = RunReader.ReadWeights(session.Folder)!;
        Assert.Equal("assumed", weights.Start);
        Assert.Equal(Math.Sqrt(session.Adapter.Modules.Sum(module => module.B.square().sum().item<float>())), weights.Norm, 1e-4 * weights.Norm);
        Assert.Contains("lora_A not to have moved", File.ReadAllText(runs["given/report.html"]), StringComparison.Ordinal);
        Assert.Contains("lora_A taken as not moved", CliRun.Of("atoms", runs["given"], session.Atoms[0].Id, "--where").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Tokens_asks_for_any_document_and_finds_what_the_run_has_kept()
    {
        using var run = GradientAtoms.Runs.RunFolder.OpenRead(runs["tuned"]);
        var kept = TokensFile.Read(run).First();
        var shown = Json("tokens", runs["tuned"], kept.Document, "--pole", kept.Pole, "--by", "loss", "--where", "--json");
        var tokens = shown["tokens"]!.AsArray();
        Assert.Equal(kept.Tokens, tokens.Select(token => (string)token!["token"]!));
        AssertClose(kept.Position.Select(part => (double)part), tokens.Select(token => (double)token!["position"]!));
        Assert.All(tokens.Where(token => !(bool)token!["trained"]!), token => Assert.Equal(0, (double)token!["loss"]!));
        Assert.Equal((double)shown["projection"]!, (double)shown["projection_of_stored_rows"]!, 1e-5);
        Assert.Equal((double)shown["projection"]!, (double)shown["sum"]!, 1e-5);
        Assert.Equal((double)shown["projection"]!, shown["modules"]!.AsArray().Sum(module => (double)module!["part"]!), 1e-5);

        // A document that is on no pole of the atom has a projection too.
        var other = RunReader.ReadTexts(run)[^1].Id;
        var text = CliRun.Of("tokens", runs["tuned"], other, "--pole", kept.Pole, "--where");
        Assert.True(text.ExitCode == 0, text.Error);
        Assert.Contains("neurons (rows of lora_B)", text.Out, StringComparison.Ordinal);
        Assert.Contains("head", text.Out, StringComparison.Ordinal);
        var missing = CliRun.Of("tokens", runs["tuned"], "nobody", "--pole", kept.Pole);
        Assert.Contains("error GA1003: ", missing.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void One_atom_shows_tokens_layers_heads_neurons_and_weights_and_the_tree_shows_all()
    {
        var atom = AtomsFile.Read(runs["tuned/atoms.json"])[0];
        var one = CliRun.Of("atoms", runs["tuned"], atom.Id, "--where");
        foreach (var part in new[] { "tokens by position: \"", "layers: 0 ", " head ", "neurons written to", "change of the weights, Euclidean: ", "weighted with the curvature: " })
        {
            Assert.Contains(part, one.Out, StringComparison.Ordinal);
        }

        var shown = Json("atoms", runs["tuned"], atom.Id, "--where", "--json");
        Assert.Equal(1, shown["layers"]!.AsArray().Sum(layer => (double)layer!["share"]!), 1e-9);
        Assert.Equal(2, shown["weight_change"]!.AsArray().Count);
        Assert.NotNull(shown["poles"]![0]!["top"]![0]!["evidence"]!["position"]);
        var tree = CliRun.Of("atoms", runs["tuned"], "--tree");
        Assert.All(AtomsFile.Read(runs["tuned/atoms.json"]), listed => Assert.Equal(2, tree.Out.Split('\n').Count(line => line.TrimStart().StartsWith(listed.Id, StringComparison.Ordinal) && !line.Contains("0.", StringComparison.Ordinal))));
        Assert.Contains("poles that occur together", tree.Out, StringComparison.Ordinal);
        Assert.Equal(4, Json("atoms", runs["tuned"], "--tree", "--json")["direction"]!.AsArray().Count);
        Assert.Contains("error GA1002: ", CliRun.Of("atoms", runs["tuned"], "--where").Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokens", "pole,document,place,token,trained,position,loss")]
    [InlineData("places", "atom,kind,module,side,part,head,row,share")]
    [InlineData("pairs", "first,second,together,lift,jaccard,p,adjusted")]
    [InlineData("weights", "metric,atom,cosine,share")]
    public void Each_table_can_be_exported_in_every_form(string table, string header)
    {
        using var run = GradientAtoms.Runs.RunFolder.OpenRead(runs["tuned"]);
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        var kind = Enum.Parse<ExportTable>(table, ignoreCase: true);
        var rows = TableExport.WriteCsv(text, run, kind);
        Assert.StartsWith(header + "\r\n", text.ToString(), StringComparison.Ordinal);
        Assert.Equal(rows, TableExport.WriteJsonLines(TextWriter.Null, run, kind));
        using var stream = new MemoryStream();
        Assert.Equal(rows, TableExport.WriteParquet(stream, run, kind));
        var atoms = AtomsFile.Read(runs["tuned/atoms.json"]).Count;
        Assert.True(table switch
        {
            "tokens" => rows == TokensFile.Read(run).Sum(line => line.Tokens.Count),
            "weights" => rows == 2 * atoms,
            "places" => rows == PlacesFile.Read(run)!.Atoms.Sum(atom => atom.Segments.Count + atom.Neurons.Count) && rows > 20 * atoms,
            _ => rows == StructureFile.Read(run)!.Pairs.Count,
        });
        using var sketch = GradientAtoms.Runs.RunFolder.OpenRead(runs["sketch"]);
        Assert.Equal(table == "pairs" ? StructureFile.Read(sketch)!.Pairs.Count : 0, TableExport.WriteCsv(TextWriter.Null, sketch, kind));
    }

    [Fact]
    public void A_sketched_run_says_that_it_does_not_know()
    {
        using var run = GradientAtoms.Runs.RunFolder.OpenRead(runs["sketch"]);
        Assert.False(TokensFile.IsThere(run));
        Assert.Null(PlacesFile.Read(run));
        Assert.Null(RunReader.ReadWeights(run));
        Assert.NotNull(StructureFile.Read(run));
        var atom = AtomsFile.Read(runs["sketch/atoms.json"])[0];
        var asked = CliRun.Of("tokens", runs["sketch"], atom.Poles[0].Top[0].Id, "--pole", atom.Poles[0].Id);
        Assert.Equal(3, asked.ExitCode);
        Assert.Contains("error GA2630: ", asked.Error, StringComparison.Ordinal);
        Assert.Contains("where it lies in the network is not known", CliRun.Of("atoms", runs["sketch"], atom.Id, "--where").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void The_report_marks_tokens_with_their_numbers_and_has_the_tree_and_the_weights()
    {
        var report = File.ReadAllText(runs["tuned/report.html"]);
        System.Xml.Linq.XDocument.Parse(report.Replace("<!DOCTYPE html>", string.Empty, StringComparison.Ordinal));
        foreach (var part in new[] { "<mark class=\"y\"", "by position, +", "class=\"vh\"> (+", "id=\"structure\"", "The change of the weights", "Heads: ", "Neurons written to: " })
        {
            Assert.Contains(part, report, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("tokens.jsonl", "")]
    [InlineData("tokens.jsonl", "{\"schema\":\"gatoms/tokens\",\"version\":1,\"modules\":[]}\n{\"pole\":\"a+\"}")]
    [InlineData("tokens.jsonl", "{\"schema\":\"gatoms/tokens\",\"version\":1,\"modules\":[]}\nrubbish")]
    [InlineData("places.json", "{\"schema\":\"gatoms/places\",\"version\":1,\"segments\":[],\"atoms\":[{\"atom\":\"a\",\"written\":1,\"segments\":[1],\"neurons\":[]}]}")]
    [InlineData("structure.json", "{\"schema\":\"gatoms/structure\",\"version\":1,\"atoms\":[\"a\",\"b\"],\"direction\":[{\"left\":0,\"right\":7,\"similarity\":1,\"size\":2}],\"documents\":[],\"duplicates\":[],\"pairs\":[]}")]
    [InlineData("structure.json", "{")]
    public void A_damaged_file_is_an_error_with_a_code(string file, string contents)
    {
        var path = runs["tuned/" + file];
        var before = File.ReadAllText(path);
        try
        {
            File.WriteAllText(path, contents);
            using var run = GradientAtoms.Runs.RunFolder.OpenRead(runs["tuned"]);
            var error = Assert.Throws<GradientAtoms.Runs.RunFolderException>(() => file switch
            {
                "tokens.jsonl" => TokensFile.Read(run).Count(),
                "places.json" => PlacesFile.Read(run)!.Atoms.Count,
                _ => StructureFile.Read(run)!.Atoms.Count,
            });
            Assert.Equal("GA2609", error.Code);
        }
        finally
        {
            File.WriteAllText(path, before);
        }
    }

    private static JsonNode Json(params string[] arguments)
    {
        var run = CliRun.Of(arguments);
        Assert.True(run.ExitCode == 0, run.Error);
        return JsonNode.Parse(run.Out)!;
    }

    private static void AssertClose(IEnumerable<double> expected, IEnumerable<double> actual) =>
        AssertTensor.Close(tensor(expected.ToArray()), tensor(actual.ToArray()), relativeToMax: 1e-4);
}
