using System.Text.Json;
using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Steering;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// A finished run with its model: what steering, exports and measurements need, each read when first asked for. Owns what it opens.
/// </summary>
public sealed class RunSession : IDisposable
{
    private readonly List<IDisposable> _owned = [];
    private readonly Lazy<LoraAdapter> _adapter;
    private readonly Lazy<ParameterLayout> _layout;
    private readonly Lazy<IRowSource> _rows;
    private readonly Lazy<CurvatureBases> _bases;
    private readonly Lazy<Tensor> _eigenvalues;
    private readonly Lazy<Whitening> _whitening;
    private readonly Lazy<GramCoordinates> _coordinates;
    private readonly Lazy<StoredDictionary> _dictionary;
    private readonly Lazy<SparseCodes> _codes;
    private readonly Lazy<IReadOnlyList<Atom>> _atoms;
    private readonly Lazy<IReadOnlyList<TextRow>> _texts;

    /// <summary>Opens a run for reading.</summary>
    /// <param name="path">The run folder.</param>
    /// <param name="model">The model, where it has moved since the audit; null: where it was.</param>
    /// <exception cref="RunFolderException">GA2606: this is no run. GA2607: a part of it is missing.</exception>
    public RunSession(string path, string? model = null)
    {
        Folder = RunFolder.OpenRead(path);
        Options = RunReader.ReadOptions(Folder);
        var adapter = Folder.PathOf(RunFiles.Adapter);
        Model = new(model ?? Options.Model, Options.Device, PeftAdapter.IsAdapter(adapter) ? adapter : null);
        _owned.Add(Model);
        _adapter = Owned(() => Model.LoadAdapter(Folder.PathOf(RunFiles.Adapter)));
        _layout = new(() => Model.LayoutOf(Adapter));
        _rows = new(OpenRows);
        _bases = Owned(() => CurvatureFile.ReadBases(Folder.Need(RunFiles.Curvature), Layout));
        _eigenvalues = Owned(() => CurvatureFile.ReadEigenvalues(Folder.Need(RunFiles.Curvature), Layout).DetachFromDisposeScope());
        _whitening = Owned(() => CoordinatesStage.ReadWhitening(Folder, Layout));
        _coordinates = Owned(() =>
        {
            using var file = SafetensorsFile.Open(Folder.Need(CoordinatesStage.File));
            return RunReader.ReadCoordinates(file);
        });
        _dictionary = Owned(() => DictionaryFile.Read(Folder.Need(RunFiles.Dictionary)));
        _codes = new(() => CodesFile.Read(Folder.Need(RunFiles.Codes)).Codes);
        _atoms = new(() => RunReader.ReadAtoms(Folder));
        _texts = new(() => RunReader.ReadTexts(Folder));
    }

    /// <summary>The run.</summary>
    public RunFolder Folder { get; }

    /// <summary>The options of its last audit. Where that was stopped, what is in the folder may be of other ones: a stage's record has those that it was made with.</summary>
    public AuditOptions Options { get; }

    /// <summary>The model, loaded when first asked for.</summary>
    public ModelFiles Model { get; }

    /// <summary>How the run keeps gradients.</summary>
    public CoordinateKind Kind => CoordinatesStage.KindOf(Folder);

    /// <summary>The adapter that was audited.</summary>
    public LoraAdapter Adapter => _adapter.Value;

    /// <summary>Where its parameters lie in a flat gradient.</summary>
    public ParameterLayout Layout => _layout.Value;

    /// <summary>Rotated gradients of the documents: stored ones, or computed again where the run keeps sketches.</summary>
    public IRowSource Rows => _rows.Value;

    /// <summary>Eigenbases.</summary>
    public CurvatureBases Bases => _bases.Value;

    /// <summary>Measured eigenvalues, <c>[d]</c>, float64.</summary>
    public Tensor Eigenvalues => _eigenvalues.Value;

    /// <summary>How the coordinates are whitened.</summary>
    public Whitening Whitening => _whitening.Value;

    /// <summary>The space that the atoms live in.</summary>
    public GramCoordinates Coordinates => _coordinates.Value;

    /// <summary>The dictionary, <c>[K, k]</c>.</summary>
    public Tensor AtomRows => _dictionary.Value.Atoms;

    /// <summary>The codes, <c>[N, K]</c>.</summary>
    public SparseCodes Codes => _codes.Value;

    /// <summary>The atoms as listed.</summary>
    public IReadOnlyList<Atom> Atoms => _atoms.Value;

    /// <summary>What a reader sees of the documents.</summary>
    public IReadOnlyList<TextRow> Texts => _texts.Value;

    /// <summary>Tokens of a batch that the plan found room for.</summary>
    internal int BatchTokens => PlanStage.Read(Folder).BatchTokens;

    /// <summary>The documents as tokens.</summary>
    public IReadOnlyList<TokenizedDocument> Documents => [.. DocumentsStage.ReadTokens(Folder, Texts)];

    /// <summary>Directions of poles; they read what the session opened, and end with it.</summary>
    public PoleDirections Directions() => new(Rows, Bases, Eigenvalues, Whitening, Coordinates, AtomRows, Codes);

    /// <summary>Finds a pole by its id; an atom's id alone means its + pole.</summary>
    /// <exception cref="RunFolderException">GA2612: there is no such pole.</exception>
    public (Atom Atom, Pole Pole) FindPole(string id)
    {
        foreach (var atom in Atoms)
        {
            foreach (var pole in atom.Poles)
            {
                if (pole.Id == id || (atom.Id == id && pole.Sign > 0))
                {
                    return (atom, pole);
                }
            }
        }

        throw new RunFolderException("GA2612", Folder.Path, $"has no pole {id}", "List them with `gatoms atoms RUN`; a pole's id is its atom's with + or -.");
    }

    /// <summary>
    /// Codes of documents that the run has not seen, on its dictionary: their gradients, whitened, on the run's coordinates.
    /// </summary>
    /// <param name="documents">As this run's model tokenises them.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <returns><c>[n, K]</c>.</returns>
    public SparseCodes Encode(IReadOnlyList<TokenizedDocument> documents, CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        var whitened = Recomputed(documents, cancellationToken).ReadRows([.. Enumerable.Range(0, documents.Count)]).mul_(Whitening.Scale); // [n, d]
        var dictionary = Folder.Manifest.Stage(DictionaryStage.Name)!;
        var (sparsity, signs) = ((double)dictionary.Notes["sparsity"]!, dictionary.Options["codes"].Deserialize<CodeSigns>(RunJson.Compact));
        var coordinates = Kind == CoordinateKind.Sketch ? SketchedCoordinates(whitened) : ExactCoordinates(whitened, cancellationToken);
        if (_dictionary.Value.Tensors.TryGetValue(DictionaryFile.Gates, out var gates))
        {
            return PoleGates.From(gates).Encode(coordinates, AtomRows);
        }

        return SparseCoder.Encode(coordinates, AtomRows, new() { Sparsity = sparsity, Codes = signs }, cancellationToken: cancellationToken).Codes;
    }

    /// <summary>The second moments of the run's own fine-tune. The caller owns them.</summary>
    /// <returns><c>[d]</c>, or null where the adapter was given.</returns>
    public Tensor? SecondMoments()
    {
        var path = Folder.PathOf(AdapterStage.SecondMoments);
        if (!File.Exists(path))
        {
            return null;
        }

        using var file = SafetensorsFile.Open(path);
        return file.ReadRaw("second_moments");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (var i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }

        Folder.Dispose();
    }

    /// <summary>w_i · w_j of a document with every other, <c>[N]</c>, float64. The caller owns it.</summary>
    internal Tensor WhitenedProducts(int document)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Folder.Need(CoordinatesStage.File));
        return file.ReadRows("gram_whitened", document, 1)[0].to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    private bool IsCentred => (bool)Folder.Manifest.Stage(CoordinatesStage.Name)!.Options["center"]!;

    // Of whitened rows [n, d], through their products with every row of the run.
    private Tensor ExactCoordinates(Tensor whitened, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var products = RowProducts.Compute(Rows, Layout, Whitening, whitened, null, cancellationToken);
        using var file = SafetensorsFile.Open(Folder.Need(CoordinatesStage.File));
        var norms = whitened.square().sum(1, type: ScalarType.Float64).sqrt();
        return Coordinates.Encode(products, norms, file.ReadRaw("gram_whitened"), [.. Texts.Select(text => !text.HeldOut)], IsCentred).MoveToOuterDisposeScope();
    }

    // The same sketch, and the run's own sketches beside it for their mean.
    private Tensor SketchedCoordinates(Tensor whitened)
    {
        using var scope = NewDisposeScope();
        using var kept = RunReader.OpenRows(Folder, SketchStage.Whitened);
        var sketches = cat([kept.ReadColumns(0, kept.ColumnCount), new SketchProjector((int)kept.ColumnCount, (long)Folder.Manifest.Stage(GradientsStage.Name)!.Options["seed"]!).Apply(whitened)]);
        var learning = Texts.Select(text => !text.HeldOut).Concat(Enumerable.Repeat(false, (int)whitened.shape[0])).ToList();
        using var all = GramCoordinates.OfSketches(sketches, ones(sketches.shape[0], dtype: ScalarType.Float64), learning, IsCentred);
        return all.Rows.narrow(0, kept.RowCount, whitened.shape[0]).clone().MoveToOuterDisposeScope();
    }

    private RecomputedRows Recomputed(IReadOnlyList<TokenizedDocument> documents, CancellationToken cancellationToken) =>
        new(new(Model.Loaded.Model, Adapter), documents, Bases, BatchTokens, cancellationToken);

    private IRowSource OpenRows()
    {
        if (Kind == CoordinateKind.Sketch)
        {
            return Recomputed(Documents, default);
        }

        var rows = RunReader.OpenRows(Folder);
        _owned.Add(rows);
        return rows;
    }

    private Lazy<T> Owned<T>(Func<T> open)
        where T : IDisposable => new(() =>
    {
        var value = open();
        _owned.Add(value);
        return value;
    });
}
